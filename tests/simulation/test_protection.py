from typing import Any

import pytest

from common.errors import SettingsError
from common.privacy.accounting import epsilon
from common.privacy.cost import study_cost
from common.study import make_study
from simulation.protection import protect


def dump() -> dict[str, Any]:
    settings = {
        "name": "s",
        "features": [{"name": "f"}],
        "tasks": [{"name": "t", "column": "t"}],
        "server": {"rounds": 60},
        "privacy": {"spare_rounds": 10},
        "sites": [{"name": "A", "patients": 2000}, {"name": "B", "patients": 500}],
    }
    return make_study(settings, where="test").model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("profile", ["none", "masked", "robust"])
def test_the_plan_costs_each_site_no_more_than_asked(profile: str) -> None:
    given = dump()
    protect(given, {"A": 2000, "B": 500}, profile=profile, epsilon=4.0)
    study = make_study(given, where="test")
    for site in ("A", "B"):
        cost = study_cost(study, site, group_wise=True)
        assert 3.9 < epsilon(cost.events, cost.delta) <= 4.0
    # 500 patients make 50 groups: 8 of them are expected at a coin of .16.
    assert study.privacy.coin == 0.16
    assert study.privacy.profile == profile


def test_metrics_are_part_of_what_was_asked_for() -> None:
    plain, measured = dump(), dump()
    measured["evaluation"] |= {"metric_releases": 2, "metric_std": 20.0}
    sites = [{"name": n, "patients": 2000, "classes": {"t": [1500, 500]}} for n in "ABC"]
    measured["sites"] = sites
    for given in (plain, measured):
        protect(given, {"A": 2000, "B": 500}, profile="masked", epsilon=4.0)
    study = make_study(measured, where="test")
    assert 3.9 < study_cost(study, "A", group_wise=True).replace_one <= 4.0
    noise = [given["privacy"]["noise_multiplier"] for given in (plain, measured)]
    assert noise[0] < noise[1]


@pytest.mark.parametrize(
    ("patients", "profile", "epsilon", "message"),
    [
        (79, "masked", 4.0, "79 patients, too few"),
        (2000, "masked", 0.0, "masked with epsilon 0"),
        (2000, "", 4.0, "none with epsilon 4"),
        (2000, "other", 4.0, "other"),
    ],
)
def test_what_cannot_be_promised_is_refused(
    patients: int, profile: str, epsilon: float, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        protect(dump(), {"A": patients}, profile=profile, epsilon=epsilon)
