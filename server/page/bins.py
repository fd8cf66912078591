"""Rounds for a chart: at most `MOST` bins however long a run is, and each knows when it changed."""

from dataclasses import dataclass, field

from server.page.tail import Attempt

MOST = 400


@dataclass
class Bin:
    """Attempts at `width` rounds. used, asked: sites, summed over the closed ones; fewest: of one.

    failed: attempts without a quorum. seconds: summed, fastest and slowest, of those that closed.
    """

    version: int
    used: int = 0
    asked: int = 0
    failed: int = 0
    closed: int = 0
    fewest: int = 0
    fastest: float = 0.0
    slowest: float = 0.0
    seconds: float = 0.0

    def merge(self, other: "Bin") -> None:
        """Take in what another bin holds."""
        self.version = max(self.version, other.version)
        self.failed += other.failed
        if not other.closed:
            return
        self.fewest = min(self.fewest, other.fewest) if self.closed else other.fewest
        self.fastest = min(self.fastest, other.fastest) if self.closed else other.fastest
        self.slowest = max(self.slowest, other.slowest)
        self.used += other.used
        self.asked += other.asked
        self.seconds += other.seconds
        self.closed += other.closed

    def row(self, key: int) -> list[float]:
        """Return the bin as the script of the page takes it: static/charts.js names the columns."""
        used, asked, seconds = (
            round(total / max(1, self.closed), 3) for total in (self.used, self.asked, self.seconds)
        )
        numbers = (self.failed, self.closed, self.fastest, seconds, self.slowest, self.fewest)
        return [key, used, asked, *numbers]


@dataclass
class Bins:
    """Bins by round // width; the width doubles when they become too many.

    widened: the version at which it did, after which all of them are new.
    """

    width: int = 1
    widened: int = 0
    by_key: dict[int, Bin] = field(default_factory=dict)

    def add(self, attempt: Attempt, version: int) -> None:
        """Take in one attempt at a round."""
        while (attempt.round_index - 1) // self.width >= MOST:
            self._widen(version)
        key = (attempt.round_index - 1) // self.width
        self._put(key, _bin(attempt, version))

    def since(self, version: int) -> list[list[float]]:
        """Return the rows of bins that changed after a version."""
        return [one.row(key) for key, one in self.by_key.items() if one.version > version]

    def _put(self, key: int, one: Bin) -> None:
        if key in self.by_key:
            self.by_key[key].merge(one)
        else:
            self.by_key[key] = one

    def _widen(self, version: int) -> None:
        old, self.by_key = self.by_key, {}
        self.width *= 2
        self.widened = version
        for key, one in old.items():
            self._put(key // 2, one)


def _bin(attempt: Attempt, version: int) -> Bin:
    if not attempt.closed:
        return Bin(version, failed=1)
    used, seconds = len(attempt.accepted), attempt.seconds
    return Bin(version, used, attempt.asked, 0, 1, used, seconds, seconds, seconds)
