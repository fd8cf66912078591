import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from common.calibration_metrics import RIDGE, TINY, calibration, recalibrations
from common.randomness import generator

Floats = NDArray[np.float64]


def expit(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def logits(p: Floats) -> Floats:
    clipped = np.clip(p, TINY, 1 - TINY)
    return np.log(clipped / (1 - clipped))


def slope_of_scikit_learn(y: NDArray[np.int64], p: Floats, c: float) -> float:
    model = LogisticRegression(C=c, tol=1e-12, max_iter=10_000)
    return float(model.fit(logits(p)[:, None], y).coef_[0, 0])


def sample(n: int, level: float, spread: float) -> tuple[NDArray[np.int64], Floats]:
    """Labels, and five draws of probabilities around their log-odds; some are 0 or 1."""
    rng = generator("calibration", n, str(level), str(spread))
    x = rng.standard_normal((5, n)) * spread + level
    y = (rng.random(n) < expit(x[0])).astype(np.int64)
    y[:2] = 0, 1
    p = expit(x)
    p[4, :3] = 0, 1, 0
    return y, p


@pytest.mark.parametrize(
    ("n", "level", "spread"),
    [(500, 0.0, 1.0), (500, -3.0, 2.0), (200, 1.0, 4.0), (400, -1.0, 0.3), (60, 0.0, 1.0)],
)
def test_slope_is_that_of_scikit_learn_without_a_penalty(
    n: int, level: float, spread: float
) -> None:
    y, p = sample(n, level, spread)
    expected = [slope_of_scikit_learn(y, row, 1e12) for row in p]
    np.testing.assert_allclose(calibration(y, p).slope, expected, rtol=2e-3, atol=1e-4)


def test_where_p_separates_the_classes_the_slope_is_finite_and_the_ridges() -> None:
    y = np.repeat([0, 1], 25)
    x = np.linspace(-1, 1, 50) * np.array([[0.5], [2.0], [-1.0]])
    expected = [slope_of_scikit_learn(y, row, 1 / RIDGE) for row in expit(x)]
    found = calibration(y, expit(x)).slope
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert found[0] > 10
    assert found[2] < -10
    assert np.all(abs(found) < 100)


def test_nearly_constant_p_has_no_slope_in_the_thousands() -> None:
    y, p = sample(500, 0.0, 1.0)
    assert np.all(abs(calibration(y, 0.2 + 1e-5 * p).slope) < 10)


def test_constant_p_has_an_intercept_and_no_slope() -> None:
    y = np.arange(60) % 3 == 0
    p = np.stack([np.full(60, 0.5), np.full(60, 0.8), np.linspace(0.1, 0.9, 60)])
    found = calibration(y.astype(np.int64), p)
    assert np.isnan(found.slope).tolist() == [True, True, False]
    # One third is positive: logit(1/3) = log(1/2), less logit(p): log(1), log(4).
    np.testing.assert_allclose(found.intercept[:2], [np.log(1 / 2), np.log(1 / 8)], atol=1e-6)


@pytest.mark.parametrize(("n", "level", "spread"), [(500, 0.0, 1.0), (200, -2.0, 4.0)])
def test_with_the_intercept_the_mean_of_p_is_the_prevalence(
    n: int, level: float, spread: float
) -> None:
    y, p = sample(n, level, spread)
    intercept = calibration(y, p).intercept
    mean = expit(intercept[:, None] + logits(p)).mean(1)
    np.testing.assert_allclose(mean, y.mean(), atol=1e-6)


def test_recalibrating_shifted_and_stretched_logits_gives_the_inverse() -> None:
    # Doubled logits halve the slope; a shift of 1 is what the intercept takes back.
    y, p = sample(500, 0.0, 1.0)
    x = logits(p)[:4]
    once, twice = calibration(y, expit(x)), calibration(y, expit(2 * x))
    np.testing.assert_allclose(twice.slope, once.slope / 2, rtol=1e-3)
    shifted = calibration(y, expit(x + 1))
    np.testing.assert_allclose(shifted.slope, once.slope, rtol=1e-3)
    np.testing.assert_allclose(shifted.intercept, once.intercept - 1, atol=1e-4)


def test_steps_from_any_start_arrive() -> None:
    # Heavy tails, certain and wrong, one patient apart from all others: undamped steps diverge.
    rng = generator("heavy tails")
    for n in (5, 40, 300):
        y = (rng.random(n) < 0.2).astype(np.int64)
        y[:2] = 0, 1
        x = np.concatenate([rng.standard_cauchy((20, n)) * 5, np.full((1, n), -13.0)])
        x[-1, 1] = -13.0 if n == 40 else 13.0
        p = expit(np.clip(x, -50, 50))
        intercept, slope = recalibrations(y, p)
        residual = y - expit(intercept.value[:, None] + logits(p))
        np.testing.assert_allclose(residual.mean(1), 0, atol=1e-5)
        for row, b in zip(p, slope.value, strict=True):
            if np.isfinite(b):
                expected = slope_of_scikit_learn(y, row, 1 / RIDGE)
                assert b == pytest.approx(expected, rel=5e-3, abs=1e-4)
