"""The studies that are hurt can be read, afforded for hundreds of runs, and added up."""

import tomllib

import pytest
import torch

from common.privacy.cost import study_cost
from common.study import Study, make_study
from simulation.chaos.studies import PROFILES, SITES, study_text
from simulation.chaos.twin import add_up


def study_of(profile: str) -> Study:
    return make_study(tomllib.loads(study_text(profile)), where="test")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_study_has_its_profile_and_its_sites(profile: str) -> None:
    study = study_of(profile)
    assert study.privacy.profile == profile
    assert tuple(site.name for site in study.sites) == SITES[profile]


@pytest.mark.parametrize("profile", ["robust", "masked"])
def test_hundreds_of_runs_stay_below_what_the_hospitals_allow(profile: str) -> None:
    assert study_cost(study_of(profile), "ash", group_wise=True).replace_one < 100


@pytest.mark.parametrize("profile", ["none", "masked"])
def test_a_mean_is_weighted_with_masks_and_without(profile: str) -> None:
    updates = {"ash": torch.tensor([1.0, 4.0]), "birch": torch.tensor([4.0, 1.0])}
    # birch counts twice: (1 + 8) / 3 and (4 + 2) / 3.
    assert add_up(study_of(profile), updates).mean().tolist() == [3.0, 2.0]
