import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from common.metrics import (
    BIN_SIZE,
    BINS,
    HIGHER_IS_BETTER,
    METRICS,
    distance_from_ideal,
    estimates,
    expected_calibration_error,
    net_benefit,
    scaled_brier,
)
from common.randomness import generator


def predictions(draws: int, n: int, *, ties: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = generator("metrics", draws, n)
    y = (np.arange(n) % 3 == 0).astype(np.int64)
    p = 1 / (1 + np.exp(-(rng.standard_normal((draws, n)) + y)))
    return y, np.round(p, 1) if ties else p


@pytest.mark.parametrize("ties", [False, True])
def test_every_metric_is_scikit_learns_mean_over_draws(ties: bool) -> None:
    y, p = predictions(5, 60, ties=ties)
    safe = np.clip(p, 1e-6, 1 - 1e-6)
    found = estimates(y, p)
    for name, score, scored in (
        ("auroc", roc_auc_score, p),
        ("auprc", average_precision_score, p),
        ("brier", brier_score_loss, p),
        ("log-loss", log_loss, safe),
    ):
        expected = np.mean([score(y, row) for row in scored])
        assert found[name].mean == pytest.approx(expected, abs=1e-5), name


def test_a_constant_prediction_ranks_like_a_coin() -> None:
    y, p = predictions(3, 30, ties=False)
    found = estimates(y, np.full_like(p, 0.5))
    assert found["auroc"] == (0.5, 0.0)
    assert found["auprc"].mean == pytest.approx(y.mean())
    assert found["brier"].mean == 0.25


def test_the_auroc_error_equals_the_spread_over_fresh_patients() -> None:
    # One draw: the error must match the standard deviation over 400 new samples of patients.
    rng = generator("fresh patients")
    y = np.repeat([0, 1], [60, 20])
    samples = rng.standard_normal((400, 80)) + y
    found = [estimates(y, np.stack([row, row]))["auroc"] for row in samples]
    spread = float(np.std([f.mean for f in found]))
    assert float(np.mean([f.error for f in found])) == pytest.approx(spread, rel=0.1)


def test_the_same_patients_in_many_draws_are_no_new_evidence() -> None:
    y, p = predictions(1, 60, ties=False)
    twice, often = (estimates(y, np.repeat(p, draws, axis=0)) for draws in (2, 50))
    for metric in set(METRICS) - {"auprc"}:
        assert often[metric].error == pytest.approx(twice[metric].error)
        assert often[metric].error > 0


def test_the_calibration_errors_equal_the_spread_over_fresh_patients() -> None:
    # True logits are 1.5 x and the model says x + 2: too high, with a slope of 1.5.
    rng = generator("fresh patients", "calibration")
    x = rng.standard_normal((300, 400)) * 1.5
    truth = rng.random((300, 400)) < 1 / (1 + np.exp(-1.5 * x))
    found = [
        estimates(y.astype(np.int64), np.repeat(1 / (1 + np.exp(-row[None] - 2)), 2, axis=0))
        for y, row in zip(truth, x, strict=True)
    ]
    assert np.mean([f["calibration_slope"].mean for f in found]) == pytest.approx(1.5, abs=0.05)
    for metric in ("calibration_slope", "calibration_intercept"):
        values = np.array([f[metric].mean for f in found])
        error = float(np.mean([f[metric].error for f in found]))
        assert error == pytest.approx(values.std(), rel=0.15), metric


def test_draws_that_err_apart_are_averaged() -> None:
    y, p = predictions(50, 60, ties=False)
    one, many = estimates(y, p[[0, 0]]), estimates(y, p)
    for metric in ("auroc", "calibration_slope"):
        assert many[metric].error < 0.6 * one[metric].error, metric


def test_a_slope_that_hardly_any_draw_has_is_left_out() -> None:
    y, p = predictions(3, 40, ties=False)
    p[1:] = 0.3
    assert "calibration_slope" not in estimates(y, p)
    p[1] = p[0] ** 2
    both, two = estimates(y, p), estimates(y, p[:2])
    assert both["calibration_slope"] == two["calibration_slope"]
    assert set(both) == set(METRICS)


def test_no_estimate_is_nan_where_predictions_are_extreme() -> None:
    y, _ = predictions(2, 30, ties=False)
    for p in (y, 1 - y, 0 * y, 0 * y + 1, np.arange(30) % 2):
        for metric, estimate in estimates(y, np.stack([p, p]).astype(np.float64)).items():
            assert np.isfinite(estimate).all(), metric


def test_scaled_brier_is_one_minus_the_ratio_to_the_prevalence() -> None:
    y, p = predictions(4, 60, ties=True)
    prevalence = np.full(60, y.mean())
    expected = [1 - brier_score_loss(y, row) / brier_score_loss(y, prevalence) for row in p]
    np.testing.assert_allclose(scaled_brier(y, p), expected)
    np.testing.assert_allclose(scaled_brier(y, prevalence[None]), 0, atol=1e-12)


def test_net_benefit_weighs_false_alarms_by_the_odds_of_the_threshold() -> None:
    y = np.array([1, 1, 0, 0, 0])
    p = np.array([[0.9, 0.2, 0.2, 0.1, 0.0], [0.1, 0.1, 0.1, 0.1, 0.1]])
    # At 0.2, odds 1/4: two true and one false alarm, (2 - 1/4) / 5; then nobody is treated.
    np.testing.assert_allclose(net_benefit(y, p, 0.2), [0.35, 0.0])
    np.testing.assert_allclose(net_benefit(y, p, 0.0), y.mean())  # all are treated, free of charge


def plain_ece(y: NDArray[np.int64], p: NDArray[np.float64], bins: int) -> float:
    """Equal-mass bins of sorted patients, one after the other; for p without ties."""
    parts = np.array_split(np.argsort(p), bins)
    return float(sum(abs(y[part].sum() - p[part].sum()) for part in parts) / len(y))


@pytest.mark.parametrize(("n", "bins"), [(15, 1), (30, 1), (40, 2), (100, 5), (200, 10), (600, 10)])
def test_ece_is_the_mean_gap_over_bins_of_equal_mass(n: int, bins: int) -> None:
    assert bins == max(1, min(BINS, n // BIN_SIZE))
    y, p = predictions(3, n, ties=False)
    p = p ** np.array([[0.2], [1.0], [5.0]])  # too high, about right, too low
    expected = [plain_ece(y, row, bins) for row in p]
    np.testing.assert_allclose(expected_calibration_error(y, p), expected)
    assert estimates(y, p)["ece"].mean == pytest.approx(np.mean(expected))


def test_ece_parts_no_equals_and_knows_no_order_of_patients() -> None:
    y, p = predictions(2, 300, ties=True)
    order = generator("order").permutation(300)
    np.testing.assert_allclose(
        expected_calibration_error(y[order], p[:, order]), expected_calibration_error(y, p)
    )
    # 40 patients, two bins: the middle ten straddle the border and go up, where their middle is.
    levels = np.repeat([0.1, 0.5, 0.9], [18, 10, 12])
    gaps = levels - y[:40]
    halves = (abs(gaps[:18].sum()) + abs(gaps[18:].sum())) / 40
    np.testing.assert_allclose(expected_calibration_error(y[:40], levels[None]), halves)
    # All the same: one bin, whose gap is |0.3 - 1/3|.
    alike = expected_calibration_error(y, np.full((1, 300), 0.3))
    np.testing.assert_allclose(alike, 1 / 3 - 0.3)


def test_less_distance_from_the_ideal_is_better_for_every_metric() -> None:
    for metric, higher in HIGHER_IS_BETTER.items():
        near, far = (0.9, 0.6) if higher else (0.1, 0.4)
        assert distance_from_ideal(metric, near) < distance_from_ideal(metric, far)
    assert distance_from_ideal("calibration_slope", 0.7) == pytest.approx(0.3)
    assert distance_from_ideal("calibration_slope", 1.3) == pytest.approx(0.3)
    assert distance_from_ideal("calibration_intercept", -0.2) == 0.2
    assert HIGHER_IS_BETTER.keys() < set(METRICS)
