from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import SettingsError
from common.study import study_toml
from simulation.source import DEFAULTS, SimulatedSource, make_plan, tailored

SETTINGS = DEFAULTS | {"dataset": "synthetic", "sites": 8}


def test_sites_are_numbered_in_order_of_names_and_keep_their_keys(
    wards: Callable[..., dict[str, Any]],
) -> None:
    source, settings = SimulatedSource(), wards()
    names = [source.site(settings, i).name for i in range(4)]
    assert names == ["Ash", "Birch", "Cedar", "Elm"]
    keys = {source.site(settings | {"seed": s}, i).key for i in range(4) for s in (0, 1)}
    assert len(keys) == 8
    with pytest.raises(SettingsError, match="no virtual site 4"):
        source.site(settings, 4)


def test_options_change_the_study_and_leave_the_rest() -> None:
    plan = make_plan(SETTINGS)
    study = tailored(plan, SETTINGS | {"rounds": 7, "inner-lr": 0.5, "query": 20})
    assert (study.server.rounds, study.algorithm.inner_lr, study.episodes.query) == (7, 0.5, 20)
    assert study.episodes.support == plan.dataset.study.episodes.support
    assert [site.name for site in study.sites] == list(plan.split.train)


def test_another_algorithm_brings_its_own_server_optimizer() -> None:
    plan = make_plan(SETTINGS)
    assert tailored(plan, SETTINGS).server.optimizer == "adam"
    fedavg = tailored(plan, SETTINGS | {"algorithm": "fedavg"})
    assert (fedavg.server.optimizer, fedavg.server.meta_lr) == ("sgd", 1.0)


def test_an_edited_study_of_a_known_data_set_is_followed(tmp_path: Path) -> None:
    plan, path = make_plan(SETTINGS), tmp_path / "my.toml"
    path.write_text(
        study_toml(tailored(plan, SETTINGS)).replace("meta_lr = 0.003", "meta_lr = 0.5")
    )
    settings = SETTINGS | {"study": str(path)}
    assert tailored(make_plan(settings), settings).server.meta_lr == 0.5


def test_a_study_of_other_data_is_refused(
    wards: Callable[..., dict[str, Any]],
) -> None:
    settings = SETTINGS | {"study": wards()["study"]}
    with pytest.raises(SettingsError, match="other features, tasks or groups than synthetic"):
        tailored(make_plan(settings), settings)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(SettingsError, match="no scenario 'guess'"):
        make_plan(SETTINGS | {"scenario": "guess"})
