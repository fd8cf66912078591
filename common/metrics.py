"""How good predictions are, with the uncertainty that the test patients bring.

All functions take many draws at once: probabilities [draws, n] of the same n test patients with
labels y [n]. One sort of them serves all ranks. Areas treat ties as halves. References: DeLong,
DeLong, Clarke-Pearson, Biometrics 44, 1988; Sun, Xu, IEEE Signal Processing Letters 21, 2014
(mid-ranks); Brier, Monthly Weather Review 78, 1950; Steyerberg et al., Epidemiology 21, 2010
(scaled Brier); Naeini, Cooper, Hauskrecht, AAAI 2015 (calibration error); Vickers, Elkin, Medical
Decision Making 26, 2006 (net benefit).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.calibration_metrics import TINY, Recalibration, recalibrations

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
METRICS = (
    *("auroc", "auprc", "brier", "log-loss"),
    *("calibration_slope", "calibration_intercept", "ece"),
)
HIGHER_IS_BETTER = {"auroc": True, "auprc": True, "brier": False, "log-loss": False, "ece": False}
"""Slope and intercept are no such metrics: they can be too high and too low."""
IDEAL = dict.fromkeys(METRICS, 0.0) | {"auroc": 1.0, "auprc": 1.0, "calibration_slope": 1.0}
BINS, BIN_SIZE = 10, 20
"""The expected calibration error has BINS bins, fewer where they would hold less than BIN_SIZE."""


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


def distance_from_ideal(metric: str, value: float) -> float:
    """Return how far a metric is from its best value: of any metric, less is better."""
    return abs(value - IDEAL[metric])


def estimates(y: Integers, probabilities: Floats) -> dict[str, Estimate]:
    """Return every metric's estimate; y holds both classes and no probability is NaN.

    The calibration slope is the mean of the draws that have one, left out where fewer than two do.
    """
    standing = stand(y, probabilities)
    intercept, slope = recalibrations(y, probabilities)
    found = {
        "auroc": auroc(y, standing),
        "auprc": _over_draws(average_precision(y, standing)),
        "brier": _mean_loss((probabilities - y) ** 2),
        "log-loss": _mean_loss(log_losses(y, probabilities)),
        "calibration_slope": _coefficient(slope),
        "calibration_intercept": _coefficient(intercept),
        "ece": _mean_loss(_gaps(y, probabilities, standing)),
    }
    return {metric: estimate for metric, estimate in found.items() if estimate}


def stand(y: Integers, probabilities: Floats) -> Standing:
    """Return where each patient stands in each draw."""
    draws, n = probabilities.shape
    row = np.arange(draws)[:, None]
    order = probabilities.argsort(axis=1)
    at = order + n * row  # places in a flat array: several times faster than along an axis
    p = probabilities.ravel()[at]
    ends = np.ones((draws, n + 1), dtype=bool)  # before which places a group of equals begins
    ends[:, 1:-1] = p[:, 1:] != p[:, :-1]
    place = np.arange(n + 1)
    first = np.maximum.accumulate(np.where(ends, place, 0), axis=1)[:, :-1]
    after = np.minimum.accumulate(np.where(ends, place, n)[:, ::-1], axis=1)[:, -2::-1]
    positives = np.zeros((draws, n + 1), dtype=np.int64)
    y[order].cumsum(axis=1, out=positives[:, 1:])
    counts = np.empty((4, draws * n), dtype=np.int64)
    for found, bound in ((counts[:2], first), (counts[2:], after)):
        found[0][at] = bound
        found[1][at] = positives.ravel()[bound + (n + 1) * row]
    return Standing(*counts.reshape(4, draws, n))


def areas(y: Integers, probabilities: Floats) -> Floats:
    """Return each draw's area under the ROC curve [draws]; NaN where a probability is NaN."""
    above, _ = placements(y, stand(y, probabilities))
    return np.where(np.isnan(probabilities).any(1), np.nan, above.mean(1))


def placements(y: Integers, standing: Standing) -> tuple[Floats, Floats]:
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
    above, below = placements(y, standing)
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
    p = np.clip(probabilities, TINY, 1 - TINY)
    losses: Floats = -np.log(np.where(y == 1, p, 1 - p))
    return losses


def scaled_brier(y: Integers, probabilities: Floats) -> Floats:
    """Return each draw's 1 - Brier / Brier of the prevalence [draws]: 1 is perfect, 0 useless."""
    scaled: Floats = 1 - ((probabilities - y) ** 2).mean(1) / y.var()
    return scaled


def net_benefit(y: Integers, probabilities: Floats, threshold: float) -> Floats:
    """Return each draw's net benefit [draws] of treating whoever has p >= threshold, below 1.

    True positives less false positives per patient; one of these weighs threshold / (1 - threshold)
    of a true one. Treating nobody gives 0.
    """
    treated = probabilities >= threshold
    weights = np.where(y == 1, 1.0, -threshold / (1 - threshold))
    benefit: Floats = treated @ weights / len(y)
    return benefit


def expected_calibration_error(y: Integers, probabilities: Floats) -> Floats:
    """Return each draw's mean distance [draws] between mean p and prevalence in bins of patients.

    The bins hold equal numbers of patients in the order of p, as far as ties allow: equals are
    never parted. There are BINS of them, or n / BIN_SIZE if that is less, and at least one. Even a
    perfect model's error is not 0: it shrinks with the square root of the patients in a bin.
    """
    errors: Floats = _gaps(y, probabilities, stand(y, probabilities)).mean(1)
    return errors


def _gaps(y: Integers, probabilities: Floats, standing: Standing) -> Floats:
    """Return p - y [draws, n] with the sign of its bin's mean: the mean over patients is ECE."""
    draws, n = probabilities.shape
    bins = max(1, min(BINS, n // BIN_SIZE))
    place = (standing.less + standing.upto) * bins // (2 * n)  # by mid-rank
    place += bins * np.arange(draws)[:, None]
    gaps = probabilities - y
    sums = np.bincount(place.ravel(), gaps.ravel(), minlength=draws * bins)
    signed: Floats = np.sign(sums)[place] * gaps
    return signed


def _coefficient(found: Recalibration) -> Estimate | None:
    """Return the mean of a coefficient; patients' influence is averaged over draws first."""
    known = np.isfinite(found.value)
    if known.sum() < 2:
        return None
    influence = found.influence[known].mean(0)
    return _with_draws(found.value[known], float(len(influence) * influence.var(ddof=1)))


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
