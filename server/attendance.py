"""Who is asked in a turn of secure aggregation.

A site that drops out costs a phase and a deadline, so it is left out of turns to come: of the next
one, after a second miss on end of the next two, then four, at most eight. A site that says that it
has no session any more is out until the next one, which every site is asked to join.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NO_SESSION = "no-session"
SLOW = "closed"
"""The reason of a site that would have answered, had the phase not closed with enough replies."""
LONGEST_REST = 8


@dataclass
class Attendance:
    """gone: without a session. until: the first turn of a resting site. misses: on end, by site."""

    gone: set[str] = field(default_factory=set)
    until: dict[str, int] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)

    def left(self, members: Sequence[str]) -> tuple[str, ...]:
        """Return the members that still have a session, as far as is known."""
        return tuple(site for site in members if site not in self.gone)

    def asked(self, members: Sequence[str], turn: int, least: int) -> tuple[str, ...]:
        """Return the members to be asked in a turn; the resting ones too if few are left."""
        left = self.left(members)
        awake = tuple(site for site in left if self.until.get(site, 0) <= turn)
        return awake if len(awake) >= least else left

    def note(self, turn: int, answered: Iterable[str], dropped: dict[str, str]) -> None:
        """Take in what a phase of a turn has brought; dropped: reasons by site."""
        for site in answered:
            if self.until.get(site, 0) <= turn:
                self.misses.pop(site, None)
        for site, reason in dropped.items():
            if reason.endswith(NO_SESSION):
                self.gone.add(site)
            elif reason != SLOW:
                self.misses[site] = self.misses.get(site, 0) + 1
                rest = min(2 ** (self.misses[site] - 1), LONGEST_REST)
                self.until[site] = turn + 1 + rest
