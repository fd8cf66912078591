"""How good predictions are, with the uncertainty that the test patients bring.

All functions take many draws at once: probabilities [draws, n] of the same n test patients with
labels y [n]. Areas treat ties as halves. References: DeLong, DeLong, Clarke-Pearson, Biometrics 44,
1988; Sun, Xu, IEEE Signal Processing Letters 21, 2014 (mid-ranks); Brier, Monthly Weather Review
78, 1950.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
METRICS = ("auroc", "auprc", "brier", "log-loss")
HIGHER_IS_BETTER = {"auroc": True, "auprc": True, "brier": False, "log-loss": False}
_TINY = 1e-6  # probabilities are kept this far from 0 and 1 in the log-loss


class Estimate(NamedTuple):
    """A mean over draws and its standard error, from test patients and support draws together."""

    mean: float
    error: float


def estimates(y: NDArray[np.int64], probabilities: Floats) -> dict[str, Estimate]:
    """Return every metric's estimate; y holds both classes."""
    p = np.clip(probabilities, _TINY, 1 - _TINY)
    truth = y.astype(float)
    return {
        "auroc": auroc(y, probabilities),
        "auprc": _over_draws(average_precision(y, probabilities)),
        "brier": _mean_loss((probabilities - truth) ** 2),
        "log-loss": _mean_loss(-(truth * np.log(p) + (1 - truth) * np.log1p(-p))),
    }


def auroc(y: NDArray[np.int64], probabilities: Floats) -> Estimate:
    """Return the area under the ROC curve, its variance after DeLong on placements.

    The placements of a patient are averaged over draws first, so that the same patients in all
    draws are not counted as new evidence; the spread between draws is added.
    """
    positive = y == 1
    ranks = rankdata(probabilities, axis=1)
    m, n = int(positive.sum()), int((~positive).sum())
    above = (ranks[:, positive] - rankdata(probabilities[:, positive], axis=1)) / n
    below = 1 - (ranks[:, ~positive] - rankdata(probabilities[:, ~positive], axis=1)) / m
    patients = above.mean(0).var(ddof=1) / m + below.mean(0).var(ddof=1) / n
    return _with_draws(above.mean(1), float(patients))


def average_precision(y: NDArray[np.int64], probabilities: Floats) -> Floats:
    """Return each draw's average precision: mean precision at the positives, ties together."""
    positive = y == 1
    found = rankdata(-probabilities[:, positive], method="max", axis=1)
    called = rankdata(-probabilities, method="max", axis=1)[:, positive]
    precision: Floats = (found / called).mean(1)
    return precision


def _mean_loss(losses: Floats) -> Estimate:
    """Return the mean of losses [draws, n]; patients vary around their mean over draws."""
    per_patient = losses.mean(0)
    return _with_draws(losses.mean(1), float(per_patient.var(ddof=1) / len(per_patient)))


def _over_draws(values: Floats) -> Estimate:
    """Return the mean of values [draws]; only the draws' spread is known."""
    return Estimate(float(values.mean()), float(values.std(ddof=1)))


def _with_draws(values: Floats, patient_variance: float) -> Estimate:
    variance = patient_variance + float(values.var(ddof=1)) / len(values)
    return Estimate(float(values.mean()), variance**0.5)
