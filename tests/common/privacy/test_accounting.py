import math
import sys
from itertools import product
from statistics import NormalDist

import pytest

from common.errors import PrivacyError, SettingsError
from common.privacy.accounting import (
    Adjacency,
    GradientRounds,
    MetricReleases,
    epsilon,
    noise_multiplier_for,
)
from tests.common.privacy.privacy_loss import bracket

DELTA = 1e-5
WAYS: tuple[Adjacency, ...] = ("zero-out", "replace-one")


def rounds(noise_multiplier: float, coin: float = 0.1, count: int = 100) -> GradientRounds:
    return GradientRounds(noise_multiplier=noise_multiplier, coin=coin, rounds=count)


def gaussian_delta(mu: float, epsilon: float) -> float:
    """delta of the Gaussian mechanism in closed form (Dong, Roth, Su 2022, corollary 2.13)."""
    phi = NormalDist().cdf
    return phi(mu / 2 - epsilon / mu) - math.exp(epsilon) * phi(-mu / 2 - epsilon / mu)


@pytest.mark.parametrize(
    ("coin", "count", "target", "zero_out", "replace_one"),
    [
        (0.05, 100, 2, 1.345, 2.004),
        (0.1, 100, 1, 3.942, 7.458),
        (0.1, 100, 4, 1.386, 2.158),
        (0.1, 200, 4, 1.763, 3.049),
        (0.2, 200, 8, 1.886, 3.376),
        (1, 100, 4, 10.812, 21.623),
    ],
)
def test_the_noise_for_an_epsilon_is_that_of_an_accountant_at_a_finer_grid(
    coin: float, count: int, target: float, zero_out: float, replace_one: float
) -> None:
    # dp-accounting 0.6.0 with its own calibration to 1e-3 gave the two columns.
    for adjacency, sigma in zip(WAYS, (zero_out, replace_one), strict=True):
        found = noise_multiplier_for(
            target, coin=coin, rounds=count, delta=DELTA, adjacency=adjacency
        )
        assert found == pytest.approx(sigma, abs=0.0021)
        assert epsilon([rounds(found, coin, count)], DELTA, adjacency) <= target
        assert epsilon([rounds(found - 0.001, coin, count)], DELTA, adjacency) > target


@pytest.mark.parametrize(("sigma", "coin", "count"), [(2.16, 0.1, 100), (1.144, 0.05, 100)])
def test_epsilon_lies_between_the_bounds_of_an_independent_accountant(
    sigma: float, coin: float, count: int
) -> None:
    """Both adjacencies, within .7 % and therefore within the 1 % that is the goal.

    Bounds found for 2.16, .1, 100: 3.985 to 4.005 around 3.995, and 2.098 to 2.118 around 2.108. By
    hand, opacus 1.6 (PRV, eps_error .002), which knows zero-out only, gave 2.110 and 2.678.
    """
    for adjacency in WAYS:
        low, high = bracket(sigma, coin, count, DELTA, replace=adjacency == "replace-one")
        found = epsilon([rounds(sigma, coin, count)], DELTA, adjacency)
        assert low <= found <= high
        assert high - low < 0.01 * found


@pytest.mark.parametrize(("sigma", "count"), [(21.623, 100), (4.0, 10), (3.0, 1)])
def test_without_coins_epsilon_is_the_gaussian_mechanisms(sigma: float, count: int) -> None:
    for adjacency, distance in zip(WAYS, (1, 2), strict=True):
        found = epsilon([rounds(sigma, 1, count)], DELTA, adjacency)
        mu = distance * math.sqrt(count) / sigma
        assert gaussian_delta(mu, found) <= DELTA
        assert gaussian_delta(mu, found * 0.995) > DELTA


def test_a_replaced_vote_moves_a_histogram_by_the_root_of_two() -> None:
    metrics = MetricReleases(std=10.0, releases=5)
    for adjacency, distance in zip(WAYS, (1, math.sqrt(2)), strict=True):
        found = epsilon([metrics], DELTA, adjacency)
        mu = distance * math.sqrt(5) / 10
        assert gaussian_delta(mu, found) <= DELTA
        assert gaussian_delta(mu, found * 0.98) > DELTA


@pytest.mark.parametrize(
    ("sigma", "releases", "std", "together"),
    [(2.16, 5, 10, 4.26), (2.2, 1, 10, 3.97), (2.2, 5, 20, 3.98), (2.3, 5, 10, 3.99)],
)
def test_metrics_are_composed_with_the_rounds(
    sigma: float, releases: int, std: float, together: float
) -> None:
    # dp-accounting 0.6.0 gave the last column.
    metrics = MetricReleases(std=std, releases=releases)
    assert epsilon([rounds(sigma), metrics], DELTA) == pytest.approx(together, abs=0.006)


def test_replace_one_is_not_zero_out_at_half_the_noise() -> None:
    # A coin decides for both neighbours alike: 31.4 would be quoted for 10.5.
    assert epsilon([rounds(1.0)], DELTA, "replace-one") == pytest.approx(10.516, abs=0.01)
    assert epsilon([rounds(0.5)], DELTA, "zero-out") > 31


def test_epsilon_grows_with_rounds_and_coin_and_falls_with_noise_and_delta() -> None:
    base = epsilon([rounds(2.16)], DELTA)
    assert epsilon([rounds(2.16, 0.12)], DELTA) > base
    assert epsilon([rounds(2.16, 0.1, 101)], DELTA) > base
    assert epsilon([rounds(2.0)], DELTA) > base
    assert epsilon([rounds(2.16)], 1e-6) > base
    assert epsilon([], DELTA) == 0


def test_what_is_hopeless_costs_infinitely_much_instead_of_all_memory() -> None:
    assert epsilon([rounds(0.1, 1, 10_000)], DELTA) == math.inf
    assert epsilon([rounds(2.16, 0.001, 1_000_000)], DELTA) < 10


@pytest.mark.parametrize(
    ("sigma", "coin", "count"),
    [
        *product([0.0, -1.0, math.nan, math.inf, 0.05], [0.1], [100]),
        *product([2.0], [0.0, -0.1, 1.1, math.nan], [100]),
        (2.0, 0.1, 0),
    ],
)
def test_rounds_that_promise_nothing_cannot_be_made(sigma: float, coin: float, count: int) -> None:
    with pytest.raises(PrivacyError, match="no promise"):
        rounds(sigma, coin, count)


@pytest.mark.parametrize(("std", "releases"), [(0.0, 1), (math.nan, 1), (math.inf, 1), (10.0, 0)])
def test_metrics_that_promise_nothing_cannot_be_made(std: float, releases: int) -> None:
    with pytest.raises(PrivacyError, match="no promise"):
        MetricReleases(std=std, releases=releases)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_delta_is_a_probability(delta: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        epsilon([rounds(2.0)], delta)


def test_an_epsilon_that_no_noise_reaches_is_refused() -> None:
    metrics = [MetricReleases(std=1.0, releases=1)]  # alone more than 1
    for target in (1.0, 0.0, math.nan):
        with pytest.raises(PrivacyError, match="no noise multiplier"):
            noise_multiplier_for(target, coin=0.1, rounds=10, delta=DELTA, metrics=metrics)


def test_without_the_library_there_is_no_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(SettingsError, match=r"wardround\[privacy\]"):
        epsilon([rounds(1.2345)], DELTA)
