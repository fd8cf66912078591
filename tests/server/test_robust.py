from typing import Any

import numpy as np
import pytest
import torch

from common.errors import SettingsError
from common.study import Study, make_study
from server.robust import IMPLAUSIBLE, SHARED, TOO_FEW, check_aggregation, combine, public_noise

DIM = 1026
SITES = [f"site {i:02d}" for i in range(10)]


def study(**changes: Any) -> Study:
    settings: dict[str, Any] = {
        "name": "s",
        "features": [{"name": "f"}],
        "tasks": [{"name": "t", "column": "t"}],
        "episodes": {"support": 5, "query": 5},
        "sites": [{"name": name, "patients": 2000} for name in SITES],
        "privacy": {
            "profile": "robust",
            "clip_norm": 0.5,
            "noise_multiplier": 2.16,
            "aggregation": "centred-clipping",
        },
    }
    return make_study(settings | changes, where="test")


def updates() -> dict[str, torch.Tensor]:
    # 200 groups at a coin of .1: 20 are expected; noise .5 * 2.16 / 20 = .054 in each entry.
    rng = np.random.default_rng(0)
    clean = torch.full((DIM,), 0.1 / DIM**0.5)
    return {name: clean + torch.from_numpy(0.054 * rng.standard_normal(DIM)) for name in SITES}


def test_the_public_noise_follows_from_the_study() -> None:
    std, bound = public_noise(study(), SITES[:1])
    assert float(std) == pytest.approx(0.054)
    # At most 20 + 6 sqrt(20 * .9) + 1 = 46.5 groups of norm .5 over 20.
    assert float(bound) == pytest.approx(0.5 * 46.456 / 20, rel=1e-4)


def test_honest_sites_are_all_kept() -> None:
    total, dropped = combine(study(), updates(), DIM)
    assert dropped == {}
    assert float((total.mean() - 0.1 / DIM**0.5).norm()) < 0.054 * (DIM / 10) ** 0.5 * 1.5


@pytest.mark.parametrize("factor", [0.0, 100.0])
def test_a_lie_is_dropped_by_name(factor: float) -> None:
    sent = updates()
    sent["site 03"] *= factor
    _, dropped = combine(study(), sent, DIM)
    assert dropped == {"site 03": IMPLAUSIBLE}


def test_liars_who_agree_are_dropped() -> None:
    sent = updates()
    sent["site 03"] = sent["site 07"] = -sent["site 07"]
    _, dropped = combine(study(), sent, DIM)
    assert dropped == {"site 03": SHARED, "site 07": SHARED}


def test_too_few_sites_for_the_liars_give_nothing() -> None:
    few = dict(list(updates().items())[:4])
    multi = study(
        privacy=study().privacy.model_dump() | {"aggregation": "multi-krum", "malicious_share": 0.4}
    )
    total, dropped = combine(multi, few, DIM)
    assert total.weight == 0
    assert set(dropped.values()) == {TOO_FEW}


def test_weights_that_differ_are_refused() -> None:
    check_aggregation(study())
    sites = [{"name": "a", "weight": 2.0, "patients": 100}, {"name": "b", "patients": 100}]
    with pytest.raises(SettingsError, match="their weights differ"):
        check_aggregation(study(sites=sites))


def test_an_aggregation_that_is_not_installed_is_refused_before_the_first_round() -> None:
    plan = study().privacy.model_dump() | {"aggregation": "wishful"}
    with pytest.raises(SettingsError, match=r"'wishful' is not installed.*clipping, median"):
        check_aggregation(study(privacy=plan))
