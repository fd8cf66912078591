"""Tests and intervals over held-out sites, tasks and folds; all two-sided, all at 95 %.

References: Wilcoxon, Biometrics Bulletin 1, 1945; Hodges, Lehmann, Annals of Mathematical
Statistics 34, 1963; Holm, Scandinavian Journal of Statistics 6, 1979; DeLong, DeLong,
Clarke-Pearson, Biometrics 44, 1988; Sun, Xu, IEEE Signal Processing Letters 21, 2014; DerSimonian,
Laird, Controlled Clinical Trials 7, 1986; Higgins, Thompson, Spiegelhalter, JRSS A 172, 2009;
Field, Welsh, JRSS B 69, 2007; Nadeau, Bengio, Machine Learning 52, 2003.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from common.metrics import placements, stand
from common.randomness import generator

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
BOOTSTRAPS = 2000
_DECIMALS = 12  # differences that agree this far are ties: what is left is rounding


class PairedTest(NamedTuple):
    """Hodges-Lehmann estimate of the shift, and the p-value against no shift."""

    shift: float
    p_value: float


class Difference(NamedTuple):
    """A mean difference, its standard error, and the p-value against no difference."""

    mean: float
    error: float
    p_value: float


class RandomEffects(NamedTuple):
    """Mean over sites, its standard error, SD tau between sites, and where a new site would lie.

    prediction: 95 % interval, None for fewer than three sites.
    """

    mean: float
    error: float
    tau: float
    prediction: tuple[float, float] | None


def paired_test(differences: Floats) -> PairedTest:
    """Return Wilcoxon's signed-rank test of differences [n], n > 0, and the Hodges-Lehmann shift.

    The p-value is exact at any n, also with ties (mid-ranks): all signs are equally likely. Zeros
    are left out of it, as Wilcoxon did; with nothing left, or with one difference, p is 1. The
    shift, the median of all Walsh averages (d_i + d_j) / 2 with i <= j, counts zeros too.
    """
    d = np.round(differences, _DECIMALS)
    walsh = (d[:, None] + d) / 2
    return PairedTest(float(np.median(walsh[np.triu_indices(len(d))])), _signed_rank(d[d != 0]))


def _signed_rank(d: Floats) -> float:
    ranks = np.rint(2 * stats.rankdata(abs(d))).astype(np.int64)  # doubled: mid-ranks are whole
    chance = np.zeros(ranks.sum() + 1)  # of each sum of the ranks with a plus sign
    chance[0] = 1
    for rank in ranks:
        chance[rank:] += chance[:-rank]
        chance /= 2
    plus = ranks[d > 0].sum()
    return float(min(1.0, 2 * min(chance[: plus + 1].sum(), chance[plus:].sum())))


def holm(p_values: Floats) -> Floats:
    """Return the p-values [n], adjusted by Holm's step-down method, in the same order."""
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def delong_test(y: Integers, p_a: Floats, p_b: Floats) -> Difference:
    """Return AUROC of p_a minus AUROC of p_b [n] on the same patients; two or more of each class.

    Mid-ranks after Sun and Xu. Without any variance (both rank every patient alike, or both do so
    perfectly) p is 1 if the areas are equal, else 0.
    """
    pair = np.stack([p_a, p_b])
    above, below = placements(y, stand(y, pair))  # [2, positives], [2, negatives]
    variance = sum(np.diff(part, axis=0).var(ddof=1) / part.shape[1] for part in (above, below))
    of_a, of_b = above.mean(1)
    mean, error = float(of_a - of_b), float(np.sqrt(variance))
    return Difference(mean, error, _p_value(mean, error, stats.norm))


def _p_value(mean: float, error: float, null: object) -> float:
    if error < 10.0**-_DECIMALS:
        return float(abs(mean) < 10.0**-_DECIMALS)
    return float(2 * null.sf(abs(mean) / error))  # type: ignore[attr-defined]


def random_effects(values: Floats, errors: Floats) -> RandomEffects:
    """Return DerSimonian and Laird's mean of sites' values [m] with standard errors [m] above 0.

    The prediction interval has Student's t with m - 2 degrees of freedom (Higgins et al. 2009).

    Raises:
        ValueError: a standard error is not a number above 0; a site would get all the weight.
    """
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ValueError(f"standard errors must be above 0, not {errors.tolist()}")
    m, weights = len(values), 1 / errors**2
    fixed = np.average(values, weights=weights)
    excess = weights @ (values - fixed) ** 2 - (m - 1)  # of Cochran's Q over its expectation
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    tau2 = max(0.0, float(excess / scale)) if m > 1 else 0.0
    weights = 1 / (errors**2 + tau2)
    mean, error = float(np.average(values, weights=weights)), float(weights.sum() ** -0.5)
    if m < 3:
        return RandomEffects(mean, error, tau2**0.5, None)
    reach = float(stats.t.ppf(0.975, m - 2)) * (tau2 + error**2) ** 0.5
    return RandomEffects(mean, error, tau2**0.5, (mean - reach, mean + reach))


def cluster_bootstrap(
    values: Floats,
    clusters: Sequence[str] | Integers,
    statistic: Callable[[Floats], float] | None = None,
    *,
    errors: Floats | None = None,
    draws: int = BOOTSTRAPS,
    seed: int,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of values [n], by default their mean.

    Whole clusters are drawn with replacement, each with all its values (Field, Welsh 2007). With
    the standard errors [n] of the values a second level is added: each draw moves every value.
    """
    labels = np.unique(clusters, return_inverse=True)[1]
    rng = generator(seed, "bootstrap")
    noise = 0.0 if errors is None else errors * rng.standard_normal((draws, len(values)))
    moved = np.broadcast_to(values + noise, (draws, len(values)))
    number = int(labels.max()) + 1
    drawn = rng.integers(number, size=(draws, number)) + number * np.arange(draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=draws * number).reshape(draws, number)[:, labels]
    if statistic is None:
        found = (moved * times).sum(1) / times.sum(1)
    else:
        found = np.array([statistic(np.repeat(v, t)) for v, t in zip(moved, times, strict=True)])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def nadeau_bengio(differences: Floats, train_size: int, test_size: int) -> Difference:
    """Return the mean of differences [J], J > 1, over random splits of the same patients.

    Their trainings overlap, so the variance is (1 / J + test_size / train_size) times the sample
    variance, not 1 / J; t has J - 1 degrees of freedom. Without any variance p is 1 or 0.
    """
    folds = len(differences)
    share = 1 / folds + test_size / train_size
    mean, error = float(differences.mean()), float(np.sqrt(share * differences.var(ddof=1)))
    return Difference(mean, error, _p_value(mean, error, stats.t(folds - 1)))
