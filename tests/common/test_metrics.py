import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from common.metrics import estimates
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
    for metric in ("auroc", "brier", "log-loss"):
        assert often[metric].error == pytest.approx(twice[metric].error)
        assert often[metric].error > 0
