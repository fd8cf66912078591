"""How good a model is at many hospitals, from the sum of their noisy histograms.

Every metric comes with one standard error, by the delta method, for the noise of all sites and for
the patients that happened to be there (DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988, for the
area under the curve). Negative counts stay: setting them to 0 would bias every metric.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.metrics import Estimate
from common.privacy.histograms import BINS, Declared, Floats, Integers, require_sizes

INFORMATIVE = 2000
"""Declared patients in all, below which the metrics say next to nothing."""
MIDDLE: Floats = (np.arange(BINS) + 0.5) / BINS
_WITHIN = 1 / (12 * BINS**2)  # variance of a score within its bin (Sheppard's correction)
_ROUNDING = 1 / 12  # variance that rounding adds to the noise of a count
_CLEAR = 3.0  # standard deviations of its noise by which a class has to stand out


class Point(NamedTuple):
    """A point of the calibration curve: patients with this score, and how many are positive."""

    score: float
    observed: Estimate


class Evaluation(NamedTuple):
    """Estimates by metric, and the calibration curve where a bin stands out of the noise.

    informative: whether so many patients were declared that they are worth reading. There are no
    estimates at all where the noise is larger than a class.
    """

    estimates: dict[str, Estimate]
    curve: tuple[Point, ...]
    informative: bool


class _Sum(NamedTuple):
    """Negatives and positives by bin [BINS], and the variance of each cell's noise."""

    negative: Floats
    positive: Floats
    noise: float

    @property
    def totals(self) -> tuple[float, float]:
        return float(self.negative.sum()), float(self.positive.sum())


def evaluate(total: Integers, *, std: float, declared: Sequence[Declared]) -> Evaluation:
    """Return what the sum [2, BINS] of one noisy histogram of each declared site says.

    Raises:
        PrivacyError: the declared sizes are too small: `histograms.require_sizes`.
    """
    require_sizes(declared)
    negative, positive = total.astype(np.float64)
    found = _Sum(negative, positive, len(declared) * (std**2 + _ROUNDING))
    informative = sum(map(sum, declared)) >= INFORMATIVE
    if min(found.totals) < _CLEAR * math.sqrt(BINS * found.noise):
        return Evaluation({}, (), informative=False)
    estimates = {"auroc": auroc(found), "brier": brier(found), "ece": calibration_error(found)}
    return Evaluation(estimates, curve(found), informative)


def auroc(found: _Sum) -> Estimate:
    """Return the area under the ROC curve, ties within a bin as halves.

    A = sum_ij M_ij n_i p_j / (n p) with M = 1 where i < j, 1/2 where i = j, 0 else.
    """
    n, p = found.totals
    order = np.triu(np.ones((BINS, BINS)), 1) + np.eye(BINS) / 2
    above = order @ found.positive / p  # of each negative bin, the share of positives above it
    below = found.negative @ order / n
    area = float(found.negative @ above / n)
    slope = np.array([(above - area) / n, (below - area) / p])
    return Estimate(area, math.sqrt(_variance(found, slope)))


def brier(found: _Sum) -> Estimate:
    """Return the mean squared distance of scores and outcomes, as if spread evenly in each bin."""
    loss = np.array([MIDDLE**2, (1 - MIDDLE) ** 2]) + _WITHIN
    patients = sum(found.totals)
    mean = float((loss * [found.negative, found.positive]).sum() / patients)
    return Estimate(mean, math.sqrt(_variance(found, (loss - mean) / patients)))


def calibration_error(found: _Sum) -> Estimate:
    """Return the expected calibration error, as if all scores stood in the middle of their bins.

    Where they do not it is wrong by up to half a bin's width, in no known direction.
    With x_b = (1 - m_b) p_b - m_b n_b, positives beyond those expected, it is sum_b |x_b| over all
    patients. Noise, also of patients, adds to |x_b|: what it would add were x_b the truth is taken
    off. As much may be left of it near a true error of 0, and so it counts as error too.
    """
    patients = sum(found.totals)
    weight = np.array([-MIDDLE, 1 - MIDDLE])
    beyond = weight[0] * found.negative + weight[1] * found.positive
    variance = (weight**2 * _cell_variance(found)).sum(0)
    added = _mean_distance(beyond, np.sqrt(variance)) - abs(beyond)
    error = float((abs(beyond) - added).sum() / patients)
    return Estimate(max(0.0, error), math.hypot(math.sqrt(variance.sum()), added.sum()) / patients)


def curve(found: _Sum) -> tuple[Point, ...]:
    """Return the share of positives in each bin that stands out of the noise."""
    points = []
    for b in range(BINS):
        n, p = float(found.negative[b]), float(found.positive[b])
        if n + p <= _CLEAR * math.sqrt(2 * found.noise):
            continue
        share = p / (n + p)
        cells = _cell_variance(found)[:, b]
        variance = ((1 - share) ** 2 * cells[1] + share**2 * cells[0]) / (n + p) ** 2
        points.append(Point(float(MIDDLE[b]), Estimate(share, math.sqrt(variance))))
    return tuple(points)


def _variance(found: _Sum, slope: Floats) -> float:
    """Return the variance of a function of the cells with these derivatives [2, BINS]."""
    return float((slope**2 * _cell_variance(found)).sum())


def _cell_variance(found: _Sum) -> Floats:
    """Return each cell's variance [2, BINS]: its noise, and its patients' as a Poisson number."""
    return found.noise + np.array([found.negative, found.positive]).clip(min=0)


def _mean_distance(mean: Floats, sd: Floats) -> Floats:
    """Return E|X| of normal X."""
    z = mean / sd
    inside = np.array([math.erf(v / math.sqrt(2)) for v in z])
    distance: Floats = sd * math.sqrt(2 / math.pi) * np.exp(-(z**2) / 2) + mean * inside
    return distance
