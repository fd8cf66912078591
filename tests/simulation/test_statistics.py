from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from common.randomness import generator
from simulation.statistics import (
    cluster_bootstrap,
    delong_test,
    holm,
    nadeau_bengio,
    paired_test,
    random_effects,
)

Floats = NDArray[np.float64]


@pytest.mark.parametrize("n", [2, 4, 5, 6, 13, 30])
def test_paired_p_is_scipys_exact_one(n: int) -> None:
    d = generator("wilcoxon", n).standard_normal(n) + 0.3
    assert paired_test(d).p_value == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


def every_sign(d: Floats) -> float:
    """The two-sided p-value over all 2^n signs of the ranks of the differences that are not 0."""
    d = d[d != 0]
    ranks = stats.rankdata(abs(d))
    sums = np.array([ranks @ s for s in product((0, 1), repeat=len(d))])
    observed = ranks[d > 0].sum()
    return float(min(1.0, 2 * min((sums <= observed).mean(), (sums >= observed).mean())))


def test_paired_p_is_exact_with_ties_and_without_zeros() -> None:
    for d in ([1, 1, 2, -1, 3, 3, 0, 0, 2.0], [2, 2, 2, -2.0], [1, -1, 2, 0.0]):
        assert paired_test(np.array(d)).p_value == pytest.approx(every_sign(np.array(d)))
    # 0.7 - 0.6 and 0.8 - 0.7 differ in the last bits only, and 0.1 + 0.2 - 0.3 is no difference.
    noisy = np.array([0.7 - 0.6, 0.8 - 0.7, 0.6 - 0.7, 0.1 + 0.2 - 0.3, 0.3])
    exact = np.array([0.1, 0.1, -0.1, 0.0, 0.3])
    assert paired_test(noisy).p_value == paired_test(exact).p_value


def test_smallest_p_of_few_sites_is_known() -> None:
    # All n signs agree: 2 / 2^n.
    for n in (4, 5, 6):
        assert paired_test(np.arange(1.0, n + 1)).p_value == pytest.approx(2 / 2**n)


def test_without_differences_or_pairs_nothing_is_shown() -> None:
    assert paired_test(np.zeros(5)) == (0.0, 1.0)
    assert paired_test(np.array([0.3])) == (0.3, 1.0)


def test_shift_is_the_median_of_walsh_averages() -> None:
    # Of 0, 1, 5: 0, .5, 1, 2.5, 3, 5, whose median is 1.75; the mean would be 2, the median 1.
    assert paired_test(np.array([0.0, 1.0, 5.0])).shift == 1.75


def closed_bonferroni(p: Floats) -> list[float]:
    """Holm's method as a closed test: the largest Bonferroni p of all subsets with a hypothesis."""
    n = len(p)
    subsets = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
    return [max(min(1.0, len(s) * min(p[list(s)])) for s in subsets if i in s) for i in range(n)]


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    for seed in range(5):
        p = generator("holm", seed).random(6) ** 3
        np.testing.assert_allclose(holm(p), closed_bonferroni(p))
    # 3 * .01, 2 * .02, but at least that, 1 * .03 likewise.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.02])), [0.04, 0.03, 0.04])


def scores(seed: int, *, better: float = 0.0) -> tuple[NDArray[np.int64], Floats, Floats]:
    rng = generator("delong", seed)
    y = np.repeat([0, 1], [60, 40])
    common = rng.standard_normal(100) + y
    a, b = (common + rng.standard_normal(100) for _ in range(2))
    return y, np.round(a + better * y, 1), np.round(b, 1)


def test_delong_is_the_sum_over_all_pairs() -> None:
    y, a, b = scores(0)
    found = delong_test(y, a, b)
    assert found.mean == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b))
    gaps = [p[y == 1][:, None] - p[y == 0] for p in (a, b)]
    kernel = np.subtract(*((gap > 0) + 0.5 * (gap == 0) for gap in gaps))  # [positives, negatives]
    variance = kernel.mean(1).var(ddof=1) / 40 + kernel.mean(0).var(ddof=1) / 60
    assert found.error == pytest.approx(variance**0.5)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.mean) / variance**0.5))


def test_delong_holds_its_level_and_sees_a_difference() -> None:
    p_values = np.array([delong_test(*scores(seed)).p_value for seed in range(600)])
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.025)
    assert (p_values < 0.5).mean() == pytest.approx(0.5, abs=0.06)
    better = [delong_test(*scores(seed, better=2.0)).p_value for seed in range(50)]
    assert np.mean(np.array(better) < 0.05) > 0.9


def test_delong_without_variance_is_sure() -> None:
    y, a, _ = scores(0)
    assert delong_test(y, a, 2 * a + 1) == (0.0, 0.0, 1.0)
    assert delong_test(y, y.astype(np.float64), (1 - y).astype(np.float64)) == (1.0, 0.0, 0.0)


# Tuberculosis with and without BCG vaccine (Colditz et al., JAMA 271, 1994): cases and others.
TRIALS = np.array(
    [
        *([4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619]),
        *([33, 5036, 47, 5761], [180, 1361, 372, 1079], [8, 2537, 10, 619]),
        *([505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600]),
        *([186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825]),
    ]
)


def test_random_effects_of_the_bcg_trials_are_the_published_ones() -> None:
    # Log risk ratios; metafor's rma(method = "DL") gives -0.7141, SE 0.1787, tau^2 0.3088.
    a, b, c, d = TRIALS.T
    found = random_effects(
        np.log(a / (a + b) * (c + d) / c), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    )
    assert found.mean == pytest.approx(-0.7141, abs=1e-4)
    assert found.error == pytest.approx(0.1787, abs=1e-4)
    assert found.tau**2 == pytest.approx(0.3088, abs=1e-4)
    # t with 11 degrees of freedom: 2.201 * sqrt(.3088 + .1787^2) = 1.285.
    assert found.prediction == pytest.approx((-0.7141 - 1.285, -0.7141 + 1.285), abs=2e-3)


def test_a_new_site_lies_in_the_prediction_interval_as_often_as_promised() -> None:
    inside = []
    for seed in range(1000):
        rng = generator("new site", seed)
        true = 0.7 + 0.1 * rng.standard_normal(16)
        errors = rng.uniform(0.01, 0.04, 15)
        found = random_effects(true[:15] + errors * rng.standard_normal(15), errors)
        assert found.prediction
        inside.append(found.prediction[0] < true[15] < found.prediction[1])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_random_effects_of_few_or_equal_sites() -> None:
    assert random_effects(np.array([0.7]), np.array([0.1])) == pytest.approx((0.7, 0.1, 0, None))
    two = random_effects(np.array([0.5, 0.9]), np.array([0.1, 0.1]))
    assert two.prediction is None
    # Q = 8, scale = 100: tau^2 = (8 - 1) / 100.
    assert two.tau**2 == pytest.approx(0.07)
    equal = random_effects(np.full(4, 0.7), np.full(4, 0.1))
    assert equal[:3] == pytest.approx((0.7, 0.05, 0.0))
    with pytest.raises(ValueError, match="above 0"):
        random_effects(np.array([0.7, 1.0]), np.array([0.1, 0.0]))


def test_bootstrap_of_single_values_is_scipys() -> None:
    x = generator("bootstrap", "x").standard_normal(40)
    rng = np.random.default_rng(0)
    for statistic in (np.mean, np.median):
        expected = stats.bootstrap(
            (x,), statistic, method="percentile", n_resamples=9000, rng=rng, vectorized=True
        ).confidence_interval
        given = None if statistic is np.mean else lambda v: float(np.median(v))
        found = cluster_bootstrap(x, np.arange(40), given, draws=9000, seed=0)
        assert found == pytest.approx(tuple(expected), abs=0.03)


def test_bootstrap_draws_whole_clusters_with_all_their_values() -> None:
    # Clusters of 1 and 3 values: their means are 0, (0 + 3) / 4 and 1, and a sum is 0, 3 or 6.
    values, clusters = np.array([1.0, 0.0, 1.0, 1.0]), ["b", "a", "b", "b"]
    seen: set[tuple[int, float]] = set()

    def spy(drawn: Floats) -> float:
        seen.add((len(drawn), float(drawn.sum())))
        return float(drawn.mean())

    by_hand = cluster_bootstrap(values, clusters, spy, seed=1)
    assert seen == {(2, 0.0), (4, 3.0), (6, 6.0)}
    assert by_hand == cluster_bootstrap(values, clusters, seed=1) == (0.0, 1.0)


def test_bootstrap_over_clusters_covers_where_values_alone_do_not() -> None:
    by_cluster: list[bool] = []
    by_value: list[bool] = []
    clusters = np.repeat(np.arange(25), 4)
    for seed in range(300):
        rng = generator("coverage", seed)
        values = rng.standard_normal(25)[clusters] + 0.2 * rng.standard_normal(100)
        for found, labels in ((by_cluster, clusters), (by_value, np.arange(100))):
            low, high = cluster_bootstrap(values, labels, draws=400, seed=seed)
            found.append(low < 0 < high)
    assert np.mean(by_cluster) == pytest.approx(0.93, abs=0.04)
    assert np.mean(by_value) < 0.75


def test_bootstrap_adds_the_values_own_errors() -> None:
    found = cluster_bootstrap(np.array([0.7]), ["A"], errors=np.array([0.05]), seed=0)
    assert found == pytest.approx((0.602, 0.798), abs=0.01)  # 0.7 -+ 1.96 * 0.05


def test_corrected_t_test_holds_its_level_where_the_plain_one_does_not() -> None:
    # Nadeau and Bengio's model: differences correlate by test / (train + test), here 1 / 3.
    corrected, plain = [], []
    for seed in range(2000):
        rng = generator("folds", seed)
        d = np.sqrt(1 / 3) * rng.standard_normal() + np.sqrt(2 / 3) * rng.standard_normal(10)
        corrected.append(nadeau_bengio(d, 200, 100).p_value)
        plain.append(stats.ttest_1samp(d, 0).pvalue)
    assert np.mean(np.array(corrected) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(np.array(plain) < 0.05) > 0.3


def test_without_test_patients_the_corrected_t_test_is_the_plain_one() -> None:
    d = generator("plain").standard_normal(12) + 0.4
    plain = stats.ttest_1samp(d, 0)
    found = nadeau_bengio(d, 100, 0)
    assert found.p_value == pytest.approx(plain.pvalue)
    assert found.mean / found.error == pytest.approx(plain.statistic)
    assert nadeau_bengio(np.zeros(5), 100, 50) == (0.0, 0.0, 1.0)
