"""Every setting that a coordinator can vary, held against a hospital's own limit."""

from typing import Any

import pytest

from client.gate.limits import METRICS, OUTSIDE, SMALL, UNPROTECTED, objections
from client.site_file import Limits
from tests.client.gate.conftest import PRIVACY, SITES, changed

OPEN = {"min_cohort": 3, "min_patients": 1}


def codes(limits: dict[str, Any], epsilon: float = 1.0, **sections: Any) -> list[str]:
    found = objections(changed(**sections), Limits(**(OPEN | limits)), "Ash", epsilon=epsilon)
    return [one.code for one in found]


def test_a_study_within_the_limits_meets_no_objection() -> None:
    assert codes({}) == []


@pytest.mark.parametrize(
    ("limits", "sections"),
    [
        ({"max_rounds": 1}, {}),
        ({"max_rounds": 2}, {"privacy": PRIVACY | {"spare_rounds": 1}}),
        ({"max_inner_steps": 4}, {"algorithm": {"inner_steps": 5}}),
        ({"max_inner_lr": 0.05}, {"algorithm": {"inner_lr": 0.1}}),
        ({"max_meta_batch": 2}, {"episodes": {"meta_batch": 3}}),
        ({"max_hidden": 8}, {"model": {"hidden": 9}}),
        ({"algorithms": ["fomaml"]}, {"algorithm": {"name": "maml"}}),
        ({"profiles": ["masked"]}, {}),
        ({}, {"sites": [{"name": n, "patients": 90} for n in ("Birch", "Cedar", "Dale")]}),
    ],
)
def test_a_setting_beyond_a_limit_is_outside_the_policy(
    limits: dict[str, Any], sections: dict[str, Any]
) -> None:
    assert codes(limits, **sections) == [OUTSIDE]


def test_the_price_of_a_study_has_a_limit() -> None:
    assert codes({"max_epsilon": 4.0}, epsilon=4.0) == []
    assert codes({"max_epsilon": 4.0}, epsilon=4.1) == [OUTSIDE]


def test_too_few_sites_or_declared_patients_are_a_small_cohort() -> None:
    assert codes({"min_cohort": 4}) == [SMALL]
    assert codes({"min_patients": 91}) == [SMALL]
    assert codes({"min_cohort": 4, "min_patients": 91}) == [SMALL, SMALL]


def test_a_study_that_protects_nobody_needs_the_hospitals_own_word() -> None:
    public: dict[str, Any] = {"privacy": {}, "sites": []}
    assert codes({}, **public) == [UNPROTECTED]
    assert codes({"profiles": ["none"]}, **public) == [UNPROTECTED]
    assert codes({"unprotected": True}, **public) == []


def test_noise_that_nobody_would_account_for_is_refused() -> None:
    noise = {"clip_norm": 1.0, "noise_multiplier": 1.0}
    assert codes({"unprotected": True}, privacy=noise, sites=SITES) == [OUTSIDE]


def test_metrics_leave_only_by_the_hospitals_own_word() -> None:
    sites = [site | {"classes": {"gout": [45, 45]}} for site in SITES]
    measured: dict[str, Any] = {"sites": sites, "evaluation": {"metric_releases": 1}}
    assert codes({}, **measured) == [METRICS]
    assert codes({"metrics": True}, **measured) == []
    assert codes({"metrics": True, "max_epsilon": 0.5}, epsilon=1.0, **measured) == [OUTSIDE]


def test_the_codes_are_plain_words_that_the_server_passes_on() -> None:
    assert all(code.replace("-", "").isalpha() for code in (OUTSIDE, SMALL, UNPROTECTED, METRICS))


def test_the_strict_limits_are_the_ones_that_are_not_written() -> None:
    strict = Limits()
    assert not strict.unprotected
    assert not strict.metrics
    assert strict.profiles == ("masked", "robust")
    assert strict.min_cohort == 5
