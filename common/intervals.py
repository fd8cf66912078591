"""Intervals from few patients.

Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
Part 2", Statistics in Medicine 25, 2006, method 5: unlike DeLong's, its interval has a width where
the order is perfect. Wilson, JASA 22, 1927. Efron, Stein, "The jackknife estimate of variance",
Annals of Statistics 9, 1981: leaving patients out one by one does not understate the variance of a
statistic of all of them, on average; so it holds for a mean over draws that reuse patients, as the
correlation between draws by Nadeau and Bengio does, but knows how much each draw reuses.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from common.randomness import generator

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Interval = tuple[float, float]
BOOTSTRAPS = 4000
LEVEL = 0.95


def normal_quantile(level: float = LEVEL) -> float:
    """Return how many standard errors an interval of this level reaches either way."""
    return NormalDist().inv_cdf((1 + level) / 2)


def student_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return Student's t for an interval of this level, by its expansion in 1 / freedom.

    From 5 degrees of freedom on it is right to 0.3 %.
    """
    z = normal_quantile(level)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def auroc_interval(value: float, positives: int, negatives: int) -> Interval:
    """Return the interval of an area under the ROC curve (Newcombe's method 5)."""
    z, others = normal_quantile(), (positives + negatives) / 2 - 1

    def width(a: float) -> float:
        inner = 1 + others * ((1 - a) / (2 - a) + a / (1 + a))
        return float(z * np.sqrt(a * (1 - a) * inner / (positives * negatives)))

    def end(outer: float) -> float:
        inside, outside = value, outer  # bisection on where the distance is the width
        for _ in range(60):
            middle = (inside + outside) / 2
            within = abs(middle - value) <= width(middle)
            inside, outside = (middle, outside) if within else (inside, middle)
        return inside

    return end(0.0), end(1.0)


def share_interval(count: int, n: int) -> Interval:
    """Return Wilson's interval of a share."""
    z2 = normal_quantile() ** 2
    middle, half = (count + z2 / 2) / (n + z2), np.sqrt(count * (n - count) / n + z2 / 4)
    reach = float(np.sqrt(z2) * half / (n + z2))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def mean_interval(values: Floats, y: Integers) -> Interval:
    """Return the percentile bootstrap interval of the mean of values [n], one a patient.

    Patients are resampled within their class y [n], unless a class has only one.
    """
    rng = generator("bootstrap")
    counts = np.bincount(y, minlength=2)
    groups = [np.flatnonzero(y == c) for c in (0, 1) if counts[c]]
    if min(len(g) for g in groups) < 2:
        groups = [np.arange(len(y))]
    sums = [values[rng.choice(g, (BOOTSTRAPS, len(g)))].sum(1) for g in groups]
    means = np.sum(sums, axis=0) / len(values)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def jackknife_interval(value: float, without: Floats) -> Interval:
    """Return the interval of a statistic, from its values [n] without each of n patients."""
    n = len(without)
    error = float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))
    reach = student_quantile(n - 1) * error
    return value - reach, value + reach
