"""How good predictions are, with the uncertainty that the test patients bring.

All functions take many draws at once: probabilities [draws, n] of the same n test patients with
labels y [n]. One sort of them serves all ranks. Areas treat ties as halves. References: DeLong,
DeLong, Clarke-Pearson, Biometrics 44, 1988; Sun, Xu, IEEE Signal Processing Letters 21, 2014
(mid-ranks); Brier, Monthly Weather Review 78, 1950.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
METRICS = ("auroc", "auprc", "brier", "log-loss")
HIGHER_IS_BETTER = {"auroc": True, "auprc": True, "brier": False, "log-loss": False}
_TINY = 1e-6  # probabilities are kept this far from 0 and 1 in the log-loss


class Estimate(NamedTuple):
    """A mean over draws and its standard error, from test patients and support draws together."""

    mean: float
    error: float


class Standing(NamedTuple):
    """How many patients, and how many positives, have less than a patient's p, or at most it.

    All [draws, n], in the order of the patients.
    """

    less: Integers
    less_positive: Integers
    upto: Integers
    upto_positive: Integers


def estimates(y: Integers, probabilities: Floats) -> dict[str, Estimate]:
    """Return every metric's estimate; y holds both classes and no probability is NaN."""
    standing = stand(y, probabilities)
    return {
        "auroc": auroc(y, standing),
        "auprc": _over_draws(average_precision(y, standing)),
        "brier": _mean_loss((probabilities - y) ** 2),
        "log-loss": _mean_loss(log_losses(y, probabilities)),
    }


def stand(y: Integers, probabilities: Floats) -> Standing:
    """Return where each patient stands in each draw."""
    order = probabilities.argsort(axis=1)
    p = np.take_along_axis(probabilities, order, axis=1)
    draws, n = p.shape
    ends = np.ones((draws, n + 1), dtype=bool)  # before which places a group of equals begins
    ends[:, 1:-1] = p[:, 1:] != p[:, :-1]
    place = np.arange(n + 1)
    first = np.maximum.accumulate(np.where(ends, place, 0), axis=1)[:, :-1]
    after = np.minimum.accumulate(np.where(ends, place, n)[:, ::-1], axis=1)[:, -2::-1]
    positives = np.zeros((draws, n + 1), dtype=np.int64)
    y[order].cumsum(axis=1, out=positives[:, 1:])
    counts = np.empty((4, draws, n), dtype=np.int64)
    for found, at in ((counts[:2], first), (counts[2:], after)):
        np.put_along_axis(found[0], order, at, axis=1)
        np.put_along_axis(found[1], order, np.take_along_axis(positives, at, axis=1), axis=1)
    return Standing(*counts)


def areas(y: Integers, probabilities: Floats) -> Floats:
    """Return each draw's area under the ROC curve [draws]; NaN where a probability is NaN."""
    above, _ = _placements(y, stand(y, probabilities))
    return np.where(np.isnan(probabilities).any(1), np.nan, above.mean(1))


def _placements(y: Integers, standing: Standing) -> tuple[Floats, Floats]:
    """Return the share of negatives below each positive, and of positives above each negative."""
    positive = y == 1
    less, less_positive, upto, upto_positive = standing
    m, n = int(positive.sum()), int((~positive).sum())
    below = ((less - less_positive) + (upto - upto_positive))[:, positive] / (2 * n)
    return below, 1 - (less_positive + upto_positive)[:, ~positive] / (2 * m)


def auroc(y: Integers, standing: Standing) -> Estimate:
    """Return the area under the ROC curve, its variance after DeLong on placements.

    The placements of a patient are averaged over draws first, so that the same patients in all
    draws are not counted as new evidence; the spread between draws is added.
    """
    above, below = _placements(y, standing)
    patients = above.mean(0).var(ddof=1) / above.shape[1]
    patients += below.mean(0).var(ddof=1) / below.shape[1]
    return _with_draws(above.mean(1), float(patients))


def average_precision(y: Integers, standing: Standing) -> Floats:
    """Return each draw's average precision: mean precision at the positives, ties together."""
    positive = y == 1
    found = positive.sum() - standing.less_positive[:, positive]
    called = len(y) - standing.less[:, positive]
    precision: Floats = (found / called).mean(1)
    return precision


def log_losses(y: Integers, probabilities: Floats) -> Floats:
    """Return each patient's log-loss, shaped like probabilities [..., n]."""
    p = np.clip(probabilities, _TINY, 1 - _TINY)
    losses: Floats = -np.log(np.where(y == 1, p, 1 - p))
    return losses


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
