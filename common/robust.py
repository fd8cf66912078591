"""Robust aggregation: what k updates agree on, though up to f of them may be anything.

Every function takes updates [k, d], one row a site, all finite, and gives one vector [d]. Sites
count alike: a weight would be influence that a liar could have. Flower's strategies compute the
same median, trimmed mean and Krum (tests compare them) but read arrays layer by layer and weights
that clients assert, so that ours stand here.

    median            Yin, Chen, Ramchandran, Bartlett, ICML 2018, arXiv 1803.01498, definition 1
    trimmed mean      the same, definition 2
    Multi-Krum        Blanchard, El Mhamdi, Guerraoui, Stainer, NeurIPS 2017, arXiv 1703.02757
    centred clipping  Karimireddy, He, Jaggi, ICML 2021, arXiv 2012.10333, algorithm 2

To add one, make an `Aggregation` and name it in a package's metadata, as ours are:

    [project.entry-points."wardround.aggregations"]
    my-aggregation = "my_package.my_module:MY_AGGREGATION"
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from common.errors import SettingsError
from common.installed import find_installed

CLIPPING_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """A robust aggregation: (updates [k, d], how many may be malicious) to one vector [d].

    more: k of 2 * malicious + more updates are the fewest that withstand so many malicious ones.
    """

    name: str
    source: str
    combine: Callable[[Tensor, int], Tensor]
    more: int = 1

    def fewest(self, malicious: int) -> int:
        """Return how many updates withstand so many malicious ones."""
        return 2 * malicious + self.more

    def __call__(self, updates: Tensor, *, malicious: int) -> Tensor:
        """Return the aggregate [d] of updates [k, d], of which `malicious` may be anything.

        Raises:
            SettingsError: there are too few updates to withstand so many.
        """
        k, least = len(updates), self.fewest(malicious)
        if k < least:
            raise SettingsError(
                f"{self.name} of {k} updates cannot withstand {malicious} malicious ones",
                where="privacy.aggregation",
                remedy=f"have {least} sites at least, or lower malicious_share",
            )
        return self.combine(updates, malicious)


@lru_cache
def find_aggregation(name: str) -> Aggregation:
    """Return the robust aggregation that is installed under `name`.

    Raises:
        SettingsError: there is none; the message lists those that there are.
    """
    return find_installed(Aggregation, name, where="privacy.aggregation", also="the mean or ")


def median(updates: Tensor) -> Tensor:
    """Return the median of each coordinate; of an even number the mean of the middle two."""
    k = len(updates)
    ordered = updates.sort(dim=0).values
    return (ordered[(k - 1) // 2] + ordered[k // 2]) / 2


def trimmed_mean(updates: Tensor, *, trimmed: int) -> Tensor:
    """Return the mean of each coordinate without its `trimmed` lowest and highest values."""
    ordered = updates.sort(dim=0).values
    return ordered[trimmed : len(updates) - trimmed].mean(0)


def multi_krum(updates: Tensor, *, malicious: int) -> Tensor:
    """Return the mean of the k - f updates that lie nearest to their k - f - 2 neighbours."""
    k = len(updates)
    squared = torch.cdist(updates.double(), updates.double()).square()
    nearest = squared.sort(dim=1).values[:, 1 : k - malicious - 1]  # column 0 is the row itself
    chosen = nearest.sum(1).argsort(stable=True)[: k - malicious]
    return updates[chosen].mean(0)


def centred_clipping(updates: Tensor, *, steps: int = CLIPPING_STEPS) -> Tensor:
    """Return v after `steps` of v <- v + mean_i clip(u_i - v, tau).

    v starts at the median, where the paper takes the round before, so that no state is kept; tau is
    the median distance to v, so that at most half of the updates are shortened.
    """
    v = median(updates)
    for _ in range(steps):
        away = updates - v
        norms = away.norm(dim=1, keepdim=True)
        tau = norms.median().clamp(min=torch.finfo(norms.dtype).tiny)
        v = v + (away * (tau / norms.clamp(min=tau))).mean(0)
    return v


MEDIAN = Aggregation(
    name="median", source="Yin et al. 2018", combine=lambda updates, malicious: median(updates)
)
TRIMMED_MEAN = Aggregation(
    name="trimmed-mean",
    source="Yin et al. 2018",
    combine=lambda updates, malicious: trimmed_mean(updates, trimmed=malicious),
)
MULTI_KRUM = Aggregation(
    name="multi-krum",
    source="Blanchard et al. 2017",
    combine=lambda updates, malicious: multi_krum(updates, malicious=malicious),
    more=3,
)
CENTRED_CLIPPING = Aggregation(
    name="centred-clipping",
    source="Karimireddy et al. 2021",
    combine=lambda updates, malicious: centred_clipping(updates),
)


def plausible_norms(updates: Tensor, *, std: Tensor, bound: Tensor) -> Tensor:
    """Return which updates [k, d] have a norm that a site's noise lets them have.

    std [k]: the standard deviation of each site's noise in an entry. bound [k]: the longest that
    what is under it can be. A norm beyond them is a lie; so is one that lacks the noise. An honest
    update fails once in 10^6 times or less (normal approximation of chi-square, 5 deviations).
    """
    d = updates.shape[1]
    spread = 5 * math.sqrt(2 * d)
    low = std * math.sqrt(max(d - spread, 0.0))
    high = std * math.sqrt(d + spread) + bound
    # A clean part can shorten noise by chance only along its own direction.
    low = (low - 5 * std).clamp(min=0)
    norms = updates.norm(dim=1)
    fits: Tensor = (norms >= low) & (norms <= high)
    return fits


def independent(updates: Tensor, *, std: Tensor, bound: Tensor) -> Tensor:
    """Return which updates [k, d] have noise of their own: liars who agree share what they send.

    The product of two honest updates is that of the clean parts, at most bound_i bound_j, and of
    noise: within 6 deviations, std_i std_j sqrt(d) and std_i bound_j each.
    """
    d = updates.shape[1]
    noise = math.sqrt(d) * torch.outer(std, std)
    crossed = torch.outer(std, bound) + torch.outer(bound, std)
    most = torch.outer(bound, bound) + 6 * (noise + crossed)
    products = (updates @ updates.T).fill_diagonal_(0)
    shared: Tensor = (products > most).any(dim=1)
    return ~shared
