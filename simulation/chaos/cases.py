"""Cases: which faults hit which parts when, drawn from a seed and from nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.randomness import generator
from simulation.chaos.studies import PROFILES, ROUNDS, SITES

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
KILL, FREEZE, DROP, DELAY, HALF_CLOSE, CORRUPT = (
    "kill",
    "freeze",
    "drop",
    "delay",
    "half-close",
    "corrupt",
)
LOST_REPLIES, DUPLICATE, BLACK_HOLE, LOSS = "lost replies", "duplicate", "black hole", "packet loss"
DISK_FULL, CLOCK, EXPIRE = "disk full", "clock jump", "certificate ends"
SPANS = {
    KILL: (1.0, 5.0),
    FREEZE: (2.0, 12.0),
    DROP: (1.0, 20.0),
    DELAY: (5.0, 15.0),
    HALF_CLOSE: (1.0, 5.0),
    CORRUPT: (1.0, 5.0),
    LOST_REPLIES: (1.0, 5.0),
    DUPLICATE: (5.0, 15.0),
    BLACK_HOLE: (2.0, 20.0),
    LOSS: (5.0, 20.0),
    DISK_FULL: (2.0, 10.0),
    CLOCK: (3.0, 12.0),
    EXPIRE: (2.0, 4.0),
}
"""Seconds that a fault lasts; of a killed service, until it is started again."""
JUMPS = (-3600.0, -30.0, -3.0, 3.0, 20.0, 40.0)
"""Seconds that a clock jumps, and later back: a ledger waits until the time is reached again."""
_LINE = (DROP, DELAY, HALF_CLOSE, CORRUPT, LOST_REPLIES, DUPLICATE, BLACK_HOLE, LOSS)
SINGLE = (
    *((KILL, part) for part in (*CENTRAL, *OF_HOSPITALS)),
    *((fault, LINE) for fault in _LINE),
    *((FREEZE, part) for part in (*CENTRAL, *OF_HOSPITALS)),
    *((fault, part) for fault in (DISK_FULL, CLOCK) for part in (COORDINATOR, NODE)),
    (EXPIRE, COORDINATOR),
)
PAIR = ("two faults", "")
KINDS = (*SINGLE, PAIR, PAIR)


@dataclass(frozen=True)
class Strike:
    """One fault. site: the hospital that it hits, or empty. seconds: how long it lasts.

    wait: seconds before it, after the case's moment has come. jump: of a clock, seconds.
    """

    fault: str
    part: str
    site: str
    seconds: float
    wait: float = 0.0
    jump: float = 0.0

    @property
    def kind(self) -> str:
        """The fault and the part, in words."""
        return f"{self.fault} {self.part}"

    @property
    def service(self) -> str:
        """Whose service it is about: the coordinator's, or a hospital's."""
        return self.site or COORDINATOR


@dataclass(frozen=True)
class Case:
    """A run of a profile's study that is hurt. after: so many rounds have closed.

    fraction: how far into the next round, in rounds.
    """

    seed: int
    profile: str
    strikes: tuple[Strike, ...]
    after: int
    fraction: float

    @property
    def kind(self) -> str:
        """The fault and the part, in words."""
        return self.strikes[0].kind if len(self.strikes) == 1 else PAIR[0]


def draw_case(seed: int) -> Case:
    """Return the case of a seed.

    Consecutive seeds go through all kinds in turn, and after each turn to the next profile.
    """
    rng = generator("chaos", seed)
    profile = PROFILES[seed // len(KINDS) % len(PROFILES)]
    after, fraction = int(rng.integers(0, ROUNDS)), float(rng.random())
    kind, sites = KINDS[seed % len(KINDS)], SITES[profile]
    strikes = _two(sites, rng) if kind == PAIR else (_strike(kind, sites, rng),)
    return Case(seed, profile, strikes, after, fraction)


def _two(sites: Sequence[str], rng: np.random.Generator) -> tuple[Strike, ...]:
    """Return two faults, of which the second comes while the first lasts or soon after."""
    kinds = [SINGLE[i] for i in rng.choice(len(SINGLE) - 1, size=2, replace=False)]
    first, second = (_strike(kind, sites, rng) for kind in kinds)
    return first, replace(second, wait=float(rng.uniform(0, 6)))


def draw_cases(count: int, seed: int) -> list[Case]:
    """Return so many cases: those of `seed`, `seed` + 1 and so on."""
    return [draw_case(seed + i) for i in range(count)]


def _strike(kind: tuple[str, str], sites: Sequence[str], rng: np.random.Generator) -> Strike:
    fault, part = kind
    site = str(rng.choice(list(sites))) if part in (*OF_HOSPITALS, LINE) else ""
    seconds, jump = float(rng.uniform(*SPANS[fault])), float(rng.choice(JUMPS))
    return Strike(fault, part, site, seconds, jump=jump if fault == CLOCK else 0.0)
