"""What became of a run: judged from its record, its result, and what the result should be."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.state import RoundRecord

TOLERANCE = 1e-6
"""Between processes the last bit of a float may differ: memory lies at other places."""


@dataclass(frozen=True)
class Found:
    """What a run has left. theta: its result's bytes, None: no state could be read.

    off: how far an entry is at most from what the record's accepted sites give in one process.
    broken: why a hospital's books do not verify, or do not pay for what has left; or which
    processes are left; or empty.
    """

    phase: str
    rounds: int
    records: Sequence[RoundRecord]
    theta: bytes | None
    off: float
    broken: str = ""


@dataclass(frozen=True)
class Verdict:
    """finished: every planned round closed. dropped: sites were left out of closed rounds.

    identical: to the reference, bit for bit. explained: what the record's sites give, to rounding.
    """

    finished: bool
    dropped: bool
    identical: bool
    explained: bool
    broken: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing is unexplained."""
        right = self.explained and (self.identical or self.dropped)
        return self.finished and right and not self.broken


def judge(found: Found, reference: bytes) -> Verdict:
    """Return the verdict; reference: the bytes of the undisturbed run's theta."""
    closed = [record for record in found.records if record.closed]
    complete = [record.round_index for record in closed] == list(range(1, found.rounds + 1))
    there = found.theta is not None
    return Verdict(
        finished=found.phase == "finished" and complete and there,
        dropped=any(record.dropped for record in closed),
        identical=there and found.theta == reference,
        explained=there and found.off <= TOLERANCE,
        broken=found.broken,
    )
