"""Epsilon only where a site allows it; patients never as a small number."""

import pytest

from common.privacy.cost import study_cost
from server.page.epsilon import FEWEST, shown_epsilon, shown_patients
from tests.page_run import sites
from tests.private_study import private


def test_epsilon_of_a_site_that_has_said_nothing_is_not_shown() -> None:
    assert shown_epsilon(private()) == {}


def test_epsilon_is_that_of_the_plan_at_sites_that_allow_it() -> None:
    study = private(sites=sites(Birch={"show_epsilon": True}))
    cost = study_cost(study, "Birch", group_wise=True)
    assert shown_epsilon(study) == {"Birch": cost.replace_one}


def test_epsilon_tells_nothing_of_the_number_of_patients() -> None:
    shown = {
        patients: shown_epsilon(
            private(sites=sites(Ash={"patients": patients, "show_epsilon": True}))
        )
        for patients in (900, 2009, 20_000)
    }
    assert len({found["Ash"] for found in shown.values()}) == 1


def test_a_study_without_noise_has_no_epsilon() -> None:
    assert shown_epsilon(private(sites=sites(Ash={"show_epsilon": True}), privacy={})) == {}


def test_a_site_that_no_epsilon_describes_is_left_out() -> None:
    # 30 patients are 3 groups, of which 0.3 a round are expected: study_cost refuses.
    study = private(sites=sites(Ash={"patients": 30, "show_epsilon": True}))
    assert shown_epsilon(study) == {}


@pytest.mark.parametrize(
    ("patients", "shown"),
    [(0, "not declared"), (1, "<20"), (FEWEST - 1, "<20"), (FEWEST, "20"), (12_345, "12,345")],
)
def test_few_patients_are_few_and_no_number(patients: int, shown: str) -> None:
    assert shown_patients(patients) == shown
