"""Generated patients: what an input can be, and when one counts as found."""

import numpy as np

from common.features import encode
from common.randomness import generator
from simulation.attack.patients import (
    ATTRIBUTES,
    FEATURES,
    TOLERANCE,
    draw_patients,
    plausible,
    rows_found,
)

X = draw_patients(generator("patients"), 400).x.astype(float)


def test_an_attribute_is_one_input_and_five_of_thirteen_are_continuous() -> None:
    assert X.shape == (400, 13)
    assert sum(not attribute.codes for attribute in ATTRIBUTES) == 5


def test_continuous_inputs_have_the_standard_deviation_that_the_tolerance_is_told_in() -> None:
    spread = [X[:, j].std() for j, a in enumerate(ATTRIBUTES) if not a.codes]
    assert np.allclose(spread, 1, atol=0.12)  # 400 draws: a standard error of 0.035


def test_drawn_patients_are_plausible_and_a_code_between_two_is_not() -> None:
    assert plausible(X).all(1).mean() > 0.99
    between = X.copy()
    codes = encode({"cp": np.array([2.0, 3.0])}, [FEATURES[2]])[:, 0]
    between[:, 2] = codes.mean()
    assert not plausible(between)[:, 2].any()


def test_patients_are_found_in_any_order() -> None:
    assert rows_found(X[:9][::-1], X[:9]) == 9


def test_one_wrong_attribute_and_the_patient_is_not_found() -> None:
    for j, attribute in enumerate(ATTRIBUTES):
        wrong = X[:1].copy()
        wrong[0, j] += np.diff(attribute.inputs).min() if attribute.codes else 1.1 * TOLERANCE
        assert rows_found(wrong, X[:1]) == 0, attribute.name


def test_a_patient_found_twice_counts_once() -> None:
    assert rows_found(np.concatenate([X[:1], X[:1]]), X[:3]) == 1
