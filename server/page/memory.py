"""What the page remembers of a run's attempts: numbers and the last few, not the whole past."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from server.page.bins import Bins
from server.page.tail import Attempt

RECENT = 20
SILENT = frozenset(
    {"away", "absent", "deadline", "closed", "error-5", "unknown-node", "resting", "no-sum"}
)
"""Reasons of sites of which nothing was heard; any other is about something that a site sent."""
MOST_REASONS = 50
"""A site may word its own reasons: so many are counted apart, all the others together."""
OTHERS = "other"


@dataclass
class SiteMemory:
    """used: rounds with the site's update. heard: the round of its last answer, 0 if none came.

    when: Unix time at which that round's attempt ended, 0 if its record does not say.
    """

    used: int = 0
    heard: int = 0
    when: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass
class Memory:
    """All attempts so far, folded. version: grows with every one of them, never shrinks."""

    version: int = 0
    bins: Bins = field(default_factory=Bins)
    recent: deque[Attempt] = field(default_factory=lambda: deque(maxlen=RECENT))
    sites: dict[str, SiteMemory] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    failed: int = 0
    damaged: int = 0
    last_closed: Attempt | None = None

    @property
    def last(self) -> Attempt | None:
        """The last attempt."""
        return self.recent[-1] if self.recent else None

    @property
    def pace(self) -> float:
        """Seconds of a round, the median of the recent ones that closed; 0 if there is none."""
        seconds = [one.seconds for one in self.recent if one.closed]
        return median(seconds) if seconds else 0.0

    def take(self, attempts: Iterable[Attempt]) -> None:
        """Take in attempts."""
        for attempt in attempts:
            self._take(attempt)

    def _take(self, attempt: Attempt) -> None:
        self.version += 1
        self.bins.add(attempt, self.version)
        self.recent.append(attempt)
        self.closed += attempt.closed
        self.failed += not attempt.closed
        self.last_closed = attempt if attempt.closed else self.last_closed
        for name in attempt.accepted:
            self._site(name).used += attempt.closed
        for name, reason in attempt.dropped.items():
            _count(self._site(name).dropped, reason)
            _count(self.reasons, reason)
        for name in _heard(attempt):
            site = self.sites[name]
            site.heard, site.when = attempt.round_index, attempt.ended

    def _site(self, name: str) -> SiteMemory:
        return self.sites.setdefault(name, SiteMemory())


def _heard(attempt: Attempt) -> list[str]:
    spoke = [name for name, reason in attempt.dropped.items() if reason not in SILENT]
    return [*attempt.accepted, *spoke]


def _count(counter: Counter[str], reason: str) -> None:
    known = reason in counter or len(counter) < MOST_REASONS
    counter[reason if known else OTHERS] += 1
