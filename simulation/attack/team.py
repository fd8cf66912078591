"""The red team's program: which attacks are run, how often, and what counts as success."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.intervals import share_interval, student_quantile
from common.study_sections import Profile
from simulation.attack.lies import LIES
from simulation.attack.malicious_server import SCRIPTS
from simulation.attack.membership import infer, make_hospital
from simulation.attack.poisoning import loss_in_points
from simulation.attack.protection import PROFILES
from simulation.attack.reconstruction import ALGORITHMS, attack_once

Tick = Callable[[str], None]
MEMBERS, TRAPPED = 40, 20
"""Members, and as many others, that are told apart; fewer where theta is made for each."""


@dataclass(frozen=True)
class Row:
    """What an attack gets under a profile: success with its 95 % interval.

    unit: rows (share of patient rows restored), AUROC (of telling members), scripts (share that
    learned more than a sum), points of AUROC (that the federation loses).
    """

    attack: str
    algorithm: str
    profile: Profile
    success: float
    low: float
    high: float
    trials: int
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


def reconstruction(trials: int, seed: int, tick: Tick) -> Iterator[Row]:
    """Yield the share of patient rows that are restored from one update, all attributes right."""
    for algorithm in ALGORITHMS:
        for profile in PROFILES:
            tick(f"row reconstruction, {algorithm}, {profile}")
            counts = [attack_once(algorithm, profile, seed + i) for i in range(trials)]
            found, rows = (sum(column) for column in zip(*counts, strict=True))
            low, high = share_interval(found, rows)
            name = "row reconstruction"
            yield Row(name, algorithm, profile, found / rows, low, high, trials, "rows")


def membership(trials: int, seed: int, tick: Tick) -> Iterator[Row]:
    """Yield how well members are told from others; theta as it comes, and made for each."""
    hospital, share = make_hospital(seed), trials / 20
    for crafted, usual in ((False, MEMBERS), (True, TRAPPED)):
        tick(f"membership inference{', theta a trap' if crafted else ''}")
        candidates = max(5, round(share * usual))
        found = infer(hospital, candidates, seed, crafted=crafted)
        for number, length in enumerate(("one round", "whole run")):
            name = f"membership, {length}" + (", trap" if crafted else "")
            for profile in PROFILES:
                area = found[profile][number]
                yield Row(name, "maml", profile, *area, candidates, "AUROC")


def server(trials: int, seed: int, tick: Tick) -> Iterator[Row]:
    """Yield the share of a malicious server's scripts that learn more than a sum."""
    results = []
    for script in SCRIPTS:
        tick(f"malicious server, {script.name}")
        results.append(script.run())
    broken = sum(result.outcome == "broken" for result in results)
    low, high = share_interval(broken, len(results))
    share = broken / len(results)
    yield Row("malicious server", "any", "masked", share, low, high, len(results), "scripts")


def poisoning(trials: int, seed: int, tick: Tick) -> Iterator[Row]:
    """Yield the points of AUROC that a fifth of lying hospitals cost, with t intervals."""
    seeds = range(seed, seed + max(2, round(trials / 7)))
    for attack in LIES:
        for profile in PROFILES:
            tick(f"poisoning, {attack}, {profile}")
            lost = np.array([loss_in_points(one, profile, attack) for one in seeds])
            mean, error = float(lost.mean()), float(lost.std(ddof=1) / np.sqrt(len(lost)))
            half = student_quantile(len(lost) - 1) * error
            name = f"poisoning, {attack}"
            yield Row(
                name, "maml", profile, mean, mean - half, mean + half, len(lost), "points of AUROC"
            )


PARTS: dict[str, Callable[[int, int, Tick], Iterator[Row]]] = {
    "reconstruction": reconstruction,
    "membership": membership,
    "server": server,
    "poisoning": poisoning,
}


def run(parts: Sequence[str], trials: int, seed: int, tick: Tick) -> Iterator[Row]:
    """Yield the rows of the parts, in the order of `PARTS`."""
    for name, part in PARTS.items():
        if name in parts:
            yield from part(trials, seed, tick)
