"""Cases: which fault hits which part when, drawn from a seed and from nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.randomness import generator

COORDINATOR, SUPERLINK, SUPEREXEC, SERVERAPP, EDGE = (
    "coordinator",
    "superlink",
    "superexec",
    "serverapp",
    "edge",
)
NODE, SUPERNODE, EXECUTOR, LINE = "node", "supernode", "executor", "line"
CENTRAL = (COORDINATOR, SUPERLINK, SUPEREXEC, SERVERAPP, EDGE)
OF_HOSPITALS = (NODE, SUPERNODE, EXECUTOR)
KILL, FREEZE, DROP, DELAY, HALF_CLOSE, CORRUPT, DISK_FULL = (
    "kill",
    "freeze",
    "drop",
    "delay",
    "half-close",
    "corrupt",
    "disk full",
)
SPANS = {
    KILL: (1.0, 5.0),
    FREEZE: (2.0, 12.0),
    DROP: (1.0, 20.0),
    DELAY: (5.0, 15.0),
    HALF_CLOSE: (1.0, 5.0),
    CORRUPT: (1.0, 5.0),
    DISK_FULL: (5.0, 10.0),
}
"""Seconds that a fault lasts; of a killed service, until it is started again."""
KINDS = (
    *((KILL, part) for part in (*CENTRAL, *OF_HOSPITALS)),
    *((fault, LINE) for fault in (DROP, DELAY, HALF_CLOSE, CORRUPT)),
    *((FREEZE, part) for part in (*CENTRAL, *OF_HOSPITALS)),
    (DISK_FULL, SERVERAPP),
)


@dataclass(frozen=True)
class Case:
    """One fault. site: the hospital that it hits, or empty. after: so many rounds have closed.

    fraction: how far into the next round, in rounds. seconds: how long it lasts.
    """

    seed: int
    fault: str
    part: str
    site: str
    after: int
    fraction: float
    seconds: float

    @property
    def kind(self) -> str:
        """The fault and the part, in words."""
        return f"{self.fault} {self.part}"


def draw_case(seed: int, sites: Sequence[str], rounds: int) -> Case:
    """Return the case of a seed; consecutive seeds go through all kinds in turn."""
    rng = generator("chaos", seed)
    fault, part = KINDS[seed % len(KINDS)]
    site = str(rng.choice(list(sites))) if part in (*OF_HOSPITALS, LINE) else ""
    after, fraction = int(rng.integers(0, rounds)), float(rng.random())
    return Case(seed, fault, part, site, after, fraction, float(rng.uniform(*SPANS[fault])))


def draw_cases(count: int, seed: int, sites: Sequence[str], rounds: int) -> list[Case]:
    """Return so many cases: those of `seed`, `seed` + 1 and so on."""
    return [draw_case(seed + i, sites, rounds) for i in range(count)]
