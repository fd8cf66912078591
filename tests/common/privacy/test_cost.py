import math
from typing import Any

import pytest

from common.errors import PrivacyError
from common.privacy.accounting import MetricReleases, epsilon
from common.privacy.cost import declared, epsilon_of_sums, planned_metrics, study_cost
from common.study import Study, StudySite
from common.study_sections import EpisodeSettings, PrivacySettings
from tests.private_study import PRIVATE, VOTERS, private


def test_the_default_plan_costs_four() -> None:
    cost = study_cost(private(), "Ash", group_wise=True)
    assert cost.groups == 200  # 2009 patients in groups of 10, nine slots idle
    assert cost.gradients.rounds == 100  # 90 and 10 spare ones
    assert cost.replace_one == pytest.approx(3.995, abs=0.001)
    assert cost.zero_out == pytest.approx(2.108, abs=0.001)
    assert cost.study == private().id


def test_metrics_are_part_of_the_plan() -> None:
    study = private(sites=VOTERS, evaluation={"metric_releases": 5})
    cost = study_cost(study, "Ash", group_wise=True)
    assert cost.replace_one == pytest.approx(4.26, abs=0.006)
    assert cost.events == (cost.gradients, MetricReleases(std=10, releases=5))
    assert epsilon_of_sums(study, "Ash", honest=3, group_wise=True) > epsilon(cost.events[1:], 1e-5)


def test_a_site_that_votes_on_nothing_gives_nothing_for_metrics() -> None:
    idle = {"name": "Dale", "patients": 2000, "classes": {"anaemia": [1900, 100]}}
    tasks = [{"name": name, "column": name} for name in ("gout", "anaemia")]
    study = private(sites=[*VOTERS, idle], tasks=tasks, evaluation={"metric_releases": 5})
    assert planned_metrics(study, "Dale") is None  # one site is too few for a sum
    assert planned_metrics(study, "Ash") == MetricReleases(std=10, releases=5)


def test_the_public_floor_is_eight_expected_groups() -> None:
    at_floor = private(sites=[{"name": "Ash", "patients": 800}])
    assert study_cost(at_floor, "Ash", group_wise=True).groups == 80
    with pytest.raises(PrivacyError, match=r"7\.9 groups a round are expected of Dale"):
        study_cost(private(), "Dale", group_wise=True)


def bypassing(study: Study, **privacy: Any) -> Study:
    """A study as no reader of study.toml would let it pass."""
    return study.model_copy(update={"privacy": PrivacySettings.model_construct(**privacy)})


def test_what_the_accountant_does_not_cover_is_refused_by_name() -> None:
    study = private()
    given = study.privacy.model_dump()
    balanced = EpisodeSettings(support=4, query=6, prevalence="balanced")
    large = (StudySite(name="Ash", patients=50_000),)
    cases: list[tuple[Study, str]] = [
        (private(sites=[{"name": "Ash"}]), "Ash declares no patients"),
        (private(sites=[]), "Ash is not in the roster"),
        (study.model_copy(update={"episodes": balanced}), "drawn by label"),
        (bypassing(study, **given | {"noise_multiplier": 0.0}), "no noise"),
        (bypassing(study, **given | {"clip_norm": None}), "clip_norm is not set"),
        (bypassing(study, **given | {"noise_multiplier": math.nan}), "no noise"),
        (bypassing(study, **given | {"coin": math.nan}), "nan groups"),
        (bypassing(study, **given | {"delta": math.nan}), "delta is nan"),
        (study.model_copy(update={"sites": large}), "delta is 1e-05, more than 50000 patients"),
        (private(privacy=PRIVATE | {"noise_multiplier": 0.1, "coin": 1}), "beyond all bounds"),
    ]
    for case, words in cases:
        with pytest.raises(PrivacyError, match=words):
            study_cost(case, "Ash", group_wise=True)


def test_an_algorithm_without_an_update_of_one_group_is_refused() -> None:
    with pytest.raises(PrivacyError, match="maml makes no update of one group alone"):
        study_cost(private(), "Ash", group_wise=False)


def test_a_coin_of_one_is_the_plain_gaussian_mechanism() -> None:
    always = private(privacy=PRIVATE | {"noise_multiplier": 21.624, "coin": 1, "spare_rounds": 10})
    cost = study_cost(always, "Ash", group_wise=True)
    assert cost.replace_one == pytest.approx(4.0, abs=0.001)


def test_sums_of_equal_sites_have_the_noise_of_all() -> None:
    sites = [{"name": f"S{i}", "patients": 2000} for i in range(10)]
    study = private(sites=sites)
    # dp-accounting 0.6.0 with sigma 2.16 sqrt(h): 2.14 for h = 3, 1.10 for h = 10.
    for honest, expected in ((1, 3.995), (3, 2.14), (10, 1.10)):
        found = epsilon_of_sums(study, "S3", honest=honest, group_wise=True)
        assert found == pytest.approx(expected, abs=0.006)


def test_the_honest_sites_of_a_sum_are_those_that_add_least() -> None:
    # a = 1/200 (Ash), 1/200 (Birch), 3/400 (Cedar); Dale's 1/79 is more: the noise of Ash and Birch
    # together is sqrt(2) of Ash's.
    study = private()
    own = study_cost(study, "Ash", group_wise=True).gradients
    both = type(own)(noise_multiplier=2.16 * math.sqrt(2), coin=0.1, rounds=100)
    found = epsilon_of_sums(study, "Ash", honest=2, group_wise=True)
    assert found == pytest.approx(epsilon([both], 1e-5))
    with pytest.raises(PrivacyError, match="5 honest sites"):
        epsilon_of_sums(study, "Ash", honest=5, group_wise=True)


def test_a_site_is_found_by_name() -> None:
    assert declared(private(), "Cedar").patients == 4000
