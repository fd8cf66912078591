from collections.abc import Callable
from dataclasses import replace

import pytest

from client.evidence import Evidence, Value, weigh
from client.personal import Fit, Personal, fit
from client.words import sentence, warnings

Make = Callable[..., Personal]
Fitted = tuple[Personal, Fit]


def said(personal: Personal) -> str:
    found = fit(personal)
    return "\n".join(warnings(personal, found, weigh(personal, found)))


def with_gain(fitted: Fitted, low: float | None, high: float | None) -> Evidence:
    return weigh(*fitted)._replace(gain=Value(-0.05, low, high))


def test_below_five_patients_the_federation_decides_alone(personal: Make) -> None:
    assert "Only 4 patients: what was fixed before" in said(personal(4))
    assert "what was learned" not in said(personal(5))


def test_one_class_only_is_said(personal: Make) -> None:
    assert "Every labelled patient lacks the diagnosis" in said(personal(8, gout=0))
    assert "Every labelled patient has the diagnosis" in said(personal(8, gout=1))


def test_fewer_than_eight_of_a_class_make_the_area_uncertain(personal: Make) -> None:
    assert "Only 7 patients of the rarer class" in said(personal(20, gout=[1] * 7 + [0] * 13))
    assert "rarer class" not in said(personal(20, gout=[1] * 8 + [0] * 12))


def test_a_new_diagnosis_is_said(personal: Make) -> None:
    assert "New diagnosis: no start" in said(personal(task="anaemia"))
    assert "New diagnosis" not in said(personal())


@pytest.mark.parametrize(("k", "far"), [(5, False), (20, False), (40, False), (60, True)])
def test_a_number_of_patients_far_from_the_gates_is_said(k: int, far: bool, personal: Make) -> None:
    assert ("The gate was learned at" in said(personal(k))) is far


def test_few_validation_tasks_are_said(fitted: Fitted) -> None:
    personal, found = fitted
    few = replace(found, tasks=6)
    assert "6 validation tasks only" in "\n".join(warnings(personal, few, weigh(personal, few)))


def test_intervals_that_tell_nothing_are_said(fitted: Fitted) -> None:
    unclear = with_gain(fitted, -0.1, 0.1)
    assert "too wide to tell" in "\n".join(warnings(*fitted, unclear))
    assert "too wide to tell" not in "\n".join(warnings(*fitted, with_gain(fitted, -0.1, -0.01)))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.1, -0.01, "Adapting helps here"),
        (0.01, 0.1, "Adapting does harm here: use"),
        (-0.1, 0.1, "cannot tell the two apart (difference"),
        (None, None, "So few patients cannot tell"),
    ],
)
def test_the_sentence_follows_the_interval(
    low: float | None, high: float | None, words: str, fitted: Fitted
) -> None:
    assert words in sentence(fitted[0], with_gain(fitted, low, high))
