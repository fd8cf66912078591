"""What noisy releases cost: events say what happened, `epsilon` says what that costs.

A site's releases are (epsilon, delta)-indistinguishable in one patient slot, whatever the others
do (Lowy, Razaviyayn, "Private Federated Learning Without a Trusted Server", ICLR 2023, arXiv
2106.09779). Two adjacencies are counted:

    replace-one  a slot's patient is exchanged for another: a release's sum moves by up to 2 C
    zero-out     a slot is emptied, and its group counts as zero: the sum moves by up to C

Rounds are Poisson-subsampled Gaussian mechanisms (Abadi et al., "Deep Learning with Differential
Privacy", CCS 2016, arXiv 1607.00133), composed by their privacy loss distribution (Koskela et al.,
AISTATS 2020, arXiv 1906.03049; Zhu, Dong, Wang, AISTATS 2022, arXiv 2106.08567) with rounding that
only ever overstates epsilon. dp-accounting does the sums; only this module knows that library.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from common.errors import PrivacyError, SettingsError

Adjacency = Literal["replace-one", "zero-out"]
_GRID = 1e-3  # of the privacy loss; a tenth of it gives the same four digits in ten times the time
_SMALLEST, _LARGEST = 0.1, 1000.0  # noise multipliers that are accounted for
_HOPELESS = 1e4  # an epsilon that is not worth the memory that its distribution takes


@dataclass(frozen=True, kw_only=True)
class GradientRounds:
    """So many sums of clipped group updates, a group in each with probability `coin`.

    noise_multiplier: the noise's standard deviation in clip norms.

    Raises:
        PrivacyError: a number promises nothing.
    """

    noise_multiplier: float
    coin: float
    rounds: int

    def __post_init__(self) -> None:
        _require("noise_multiplier", self.noise_multiplier, self.noise_multiplier >= _SMALLEST)
        _require("coin", self.coin, 0 < self.coin <= 1)
        _require("rounds", self.rounds, self.rounds >= 1)

    @property
    def steepness(self) -> float:
        """mu, with replace-one, of the Gaussian mechanism that these rounds come near to.

        Without the coins it bounds them; with many rounds mu = coin sqrt(T (exp(4 / sigma^2) - 1))
        is their limit (Bu, Dong, Long, Su, Harvard Data Science Review 2 (3), 2020, theorem 5).
        """
        loss = 4 / self.noise_multiplier**2
        return math.sqrt(self.rounds * min(loss, self.coin**2 * math.expm1(loss)))

    def as_event(self, adjacency: Adjacency) -> Any:
        """Return the library's event, the same for both adjacencies: it knows about 2 C."""
        dp, _ = _library()
        one = dp.GaussianDpEvent(self.noise_multiplier)
        if self.coin < 1:
            one = dp.PoissonSampledDpEvent(self.coin, one)
        return dp.SelfComposedDpEvent(one, self.rounds)


@dataclass(frozen=True, kw_only=True)
class MetricReleases:
    """So many histograms with one vote per patient and noise of `std` votes in each bin.

    Emptying a slot takes one vote away: the histogram moves by 1. Exchanging a patient moves one
    vote from a bin to another: by the square root of 2.

    Raises:
        PrivacyError: a number promises nothing.
    """

    std: float
    releases: int

    def __post_init__(self) -> None:
        _require("std", self.std, self.std >= _SMALLEST)
        _require("releases", self.releases, self.releases >= 1)

    @property
    def steepness(self) -> float:
        """mu, with replace-one, of the Gaussian mechanism that these releases are together."""
        return math.sqrt(2 * self.releases) / self.std

    def as_event(self, adjacency: Adjacency) -> Any:
        """Return the library's event, which takes a replacement to move a sum by 2, not sqrt(2)."""
        dp, _ = _library()
        std = self.std * (math.sqrt(2) if adjacency == "replace-one" else 1)
        return dp.SelfComposedDpEvent(dp.GaussianDpEvent(std), self.releases)


Event = GradientRounds | MetricReleases


def epsilon(events: Sequence[Event], delta: float, adjacency: Adjacency = "replace-one") -> float:
    """Return the epsilon of all events together: never too small, infinite where it is hopeless.

    Parameters of later events may not depend on the outcome of earlier ones; what the mechanisms
    are applied to may.

    Raises:
        SettingsError: dp-accounting is not installed.
        PrivacyError: delta is no probability between 0 and 1.
    """
    _require("delta", delta, 0 < delta < 1)
    return _epsilon(tuple(events), delta, adjacency) if events else 0.0


@lru_cache(maxsize=256)
def _epsilon(events: tuple[Event, ...], delta: float, adjacency: Adjacency) -> float:
    dp, pld = _library()
    if sum(event.steepness**2 for event in events) / 2 > _HOPELESS:
        return math.inf
    relation = dp.NeighboringRelation
    known = {"replace-one": relation.REPLACE_ONE, "zero-out": relation.REPLACE_SPECIAL}
    accountant = pld.PLDAccountant(known[adjacency], value_discretization_interval=_GRID)
    accountant.compose(dp.ComposedDpEvent([event.as_event(adjacency) for event in events]))
    return float(accountant.get_epsilon(delta))


def noise_multiplier_for(
    target: float,
    *,
    coin: float,
    rounds: int,
    delta: float,
    metrics: Sequence[MetricReleases] = (),
    adjacency: Adjacency = "replace-one",
) -> float:
    """Return the smallest noise multiplier, in thousandths, whose epsilon is at most `target`.

    The value returned is itself one that was accounted for, never a rounded root of an equation.

    Raises:
        SettingsError: dp-accounting is not installed.
        PrivacyError: no noise multiplier is enough.
    """

    def keeps(thousandths: int) -> bool:
        gradients = GradientRounds(noise_multiplier=thousandths / 1000, coin=coin, rounds=rounds)
        return epsilon([gradients, *metrics], delta, adjacency) <= target

    low, high = int(1000 * _SMALLEST) - 1, int(1000 * _LARGEST)
    if not (target > 0 and keeps(high)):
        raise PrivacyError(
            f"no noise multiplier up to {_LARGEST:g} keeps epsilon at {target:g}",
            where="privacy",
            remedy="allow a larger epsilon, fewer rounds or fewer releases of metrics",
        )
    while high - low > 1:
        middle = math.isqrt(low * high) if high > 2 * low else (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high / 1000


def _library() -> tuple[Any, Any]:
    """Return dp_accounting and its pld: imported late, since it takes a second."""
    try:
        import dp_accounting
        from dp_accounting import pld
    except ImportError as error:
        raise SettingsError(
            "what a study costs its patients cannot be computed: dp-accounting is missing",
            where="installation",
            remedy="pip install 'wardround[privacy]'",
        ) from error
    return dp_accounting, pld


def _require(name: str, value: float, holds: bool) -> None:
    if not (holds and math.isfinite(value)):
        raise PrivacyError(
            f"{name} is {value:g}, for which no promise can be computed",
            where="privacy",
            remedy="give a finite number in the range that docs/study.md names",
        )
