import numpy as np
import pytest
from scipy.stats import t as student

from common.intervals import (
    auroc_interval,
    jackknife_interval,
    mean_interval,
    share_interval,
    student_quantile,
)
from common.randomness import generator


@pytest.mark.parametrize("freedom", [5, 10, 30, 1000])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(student.ppf(0.975, freedom), rel=3e-3)


def test_the_ends_of_an_area_are_where_the_distance_is_the_width() -> None:
    # Newcombe 2006, method 5: |a - A| = 1.96 sqrt(V(a)), V with (m + n) / 2 - 1 in both places.
    value, m, n = 0.8, 12, 20
    for end in auroc_interval(value, m, n):
        others = (m + n) / 2 - 1
        inner = 1 + others * ((1 - end) / (2 - end) + end / (1 + end))
        width = 1.959964 * (end * (1 - end) * inner / (m * n)) ** 0.5
        assert abs(end - value) == pytest.approx(width, rel=1e-5)


def test_a_perfect_order_of_few_patients_is_not_certain() -> None:
    low, high = auroc_interval(1.0, 4, 6)
    assert high == pytest.approx(1.0)
    assert 0.5 < low < 0.9
    assert auroc_interval(1.0, 40, 60)[0] > low


def test_the_interval_of_an_area_holds_it_in_about_95_of_100_samples() -> None:
    rng, truth, held = generator("areas"), 0.760, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    for _ in range(1000):
        above = (rng.standard_normal(8)[:, None] + 1 > rng.standard_normal(12)).mean()
        low, high = auroc_interval(float(above), 8, 12)
        held += low <= truth <= high
    assert 930 <= held <= 985


def test_a_share_is_wilsons() -> None:
    # 2 of 10: (0.2 + 0.19207 -+ 1.96 sqrt(0.016 + 0.009604)) / 1.38415
    assert share_interval(2, 10) == pytest.approx((0.0567, 0.5098), abs=1e-4)
    assert share_interval(0, 5)[0] == 0
    assert share_interval(5, 5)[1] == pytest.approx(1)


def test_a_bootstrap_is_repeatable_and_resamples_within_classes() -> None:
    y = np.array([0] * 10 + [1] * 10)
    assert mean_interval(y.astype(float), y) == (0.5, 0.5)
    values = generator("values").standard_normal(20)
    low, high = mean_interval(values, y)
    assert (low, high) == mean_interval(values, y)
    spread = np.sqrt((values[:10].var() + values[10:].var()) / 40)
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.06)


def test_a_class_of_one_patient_does_not_stand_still() -> None:
    low, high = mean_interval(np.array([0.0, 0, 0, 0, 5]), np.array([0, 0, 0, 0, 1]))
    assert low < 1 < high


def test_the_jackknife_of_a_mean_is_the_usual_standard_error() -> None:
    values = generator("mean").standard_normal(30)
    without = (values.sum() - values) / 29
    low, high = jackknife_interval(float(values.mean()), without)
    expected = student.ppf(0.975, 29) * values.std(ddof=1) / 30**0.5
    assert (high - low) / 2 == pytest.approx(expected, rel=1e-3)
