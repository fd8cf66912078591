"""Groups of patients, drawn in secret: the unit that is sampled, clipped and counted.

A site has n patient slots. In a round they are dealt anew, at random, into floor(n / S) groups of
exactly S slots; leftover slots idle. Each group takes part with probability q, by a coin of its
own, on one task, drawn blindly. For every partition at most one group holds a given patient, so a
round is a Poisson-subsampled Gaussian mechanism over groups (Abadi et al., "Deep Learning with
Differential Privacy", CCS 2016, arXiv 1607.00133; the group in the place of their example).

Nothing here reads a patient: partition, coins and tasks are functions of public numbers and of the
stream, whose key nobody else may know.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.crypto import ByteStream
from common.errors import SettingsError

Slots = NDArray[np.int64]
WORD_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """What is public about a site's groups: slots n, group size S, coin q, number of tasks."""

    slots: int
    size: int
    coin: float
    tasks: int

    def __post_init__(self) -> None:
        if self.slots < self.size or self.tasks < 1:
            raise SettingsError(
                f"{self.slots} patient slots and {self.tasks} tasks make no group of {self.size}",
                where="privacy",
                remedy="declare more patients, or ask for smaller support and query sets",
            )

    @property
    def groups(self) -> int:
        """The number of groups, whether they take part or not."""
        return self.slots // self.size

    @property
    def expected(self) -> float:
        """The expected number q G of groups that take part: the public divisor of the sum."""
        return self.coin * self.groups


class Drawn(NamedTuple):
    """The groups that take part: slots [g, S], the number of each one's task [g]."""

    slots: Slots
    task: Slots


def draw_groups(grouping: Grouping, stream: ByteStream) -> Drawn:
    """Return the groups of a round; how much of the stream is taken does not depend on the coins.

    The order of n random words of 64 bits is a uniform permutation up to ties (n^2 / 2^65).
    """
    g, size = grouping.groups, grouping.size
    order = np.argsort(_words(stream, grouping.slots), kind="stable")
    coins, tasks = _words(stream, g), _words(stream, g)
    taken = coins <= np.uint64(min(int(grouping.coin * 2.0**64), 2**64 - 1))
    task = (tasks % np.uint64(grouping.tasks)).astype(np.int64)
    return Drawn(order[: g * size].reshape(g, size)[taken], task[taken])


def _words(stream: ByteStream, count: int) -> NDArray[np.uint64]:
    return np.frombuffer(stream.take(WORD_BYTES * count), dtype="<u8")
