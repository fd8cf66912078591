"""One case: a run is started, hurt, gone on with if need be, and judged."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from simulation.chaos.cases import COORDINATOR, Case
from simulation.chaos.faults import inflict, prepare
from simulation.chaos.federation import Federation
from simulation.chaos.judging import Verdict, judge
from simulation.chaos.studies import ROUNDS, RUN_SEED
from simulation.chaos.twin import Twin
from simulation.processes import end, launch, wait_until

LIMIT_S, PAUSE_S, MOST_BY_HAND, LEFT_S = 420.0, 2.0, 5, 30.0


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its theta's bytes, how long it took, and one of its rounds."""

    theta: bytes
    seconds: float
    round_s: float


@dataclass(frozen=True)
class Row:
    """A case and what became of it. hit: the targets were there. by_hand: resumed so many times.

    extra: seconds more than the undisturbed run.
    """

    case: Case
    hit: bool
    verdict: Verdict
    by_hand: int
    extra: float

    def fields(self) -> dict[str, Any]:
        """Return it for machines."""
        judged = asdict(self.verdict) | {"good": self.verdict.good}
        told = {"hit": self.hit, "by_hand": self.by_hand, "extra": round(self.extra, 1)}
        return asdict(self.case) | {"kind": self.case.kind} | told | judged


def undisturbed(federation: Federation, twin: Twin, name: str) -> Reference:
    """Run the study once and return the reference.

    Raises:
        RuntimeError: it did not end well, or one process learns something else.
    """
    twin.mark()
    began = time.monotonic()
    if end_of(federation, _start(federation, name), name, began) != 0:
        raise RuntimeError(f"the undisturbed run failed: {federation.folder / name}.log")
    seconds = time.monotonic() - began
    found = twin.evidence(federation.put_away(name))
    verdict = judge(found, found.theta or b"")
    if not verdict.good or verdict.dropped or found.theta is None:
        raise RuntimeError(f"the undisturbed run is not what it should be: {verdict}")
    return Reference(found.theta, seconds, sum(r.seconds for r in found.records) / ROUNDS)


def run_case(federation: Federation, twin: Twin, case: Case, reference: Reference) -> Row:
    """Run the study, inflict the faults, and judge what is left."""
    prepare(federation, case)
    twin.mark()
    name, began = f"case-{case.seed}", time.monotonic()
    following = _start(federation, name)
    while federation.closed() < case.after or not federation.run_folder.exists():
        if following.poll() is not None or time.monotonic() - began > LIMIT_S:
            break
        time.sleep(0.02)
    time.sleep(case.fraction * reference.round_s)
    hit = inflict(federation, case)
    by_hand = end_of(federation, following, name, began)
    seconds = time.monotonic() - began
    left = _left_over(federation)
    found = twin.evidence(federation.put_away(name))
    verdict = judge(replace(found, broken=found.broken or left), reference.theta)
    return Row(case, hit, verdict, max(by_hand, 0), seconds - reference.seconds)


def _start(federation: Federation, name: str) -> "subprocess.Popen[bytes]":
    federation.forget()
    words = (COORDINATOR, "run", "--folder", COORDINATOR, "--seed", str(RUN_SEED))
    return launch(federation.folder, name, *words)


def _left_over(federation: Federation) -> str:
    """Return what is still not as before the case, after a while, or nothing."""
    federation.undress()
    soon = partial(wait_until, seconds=LEFT_S)
    checks: tuple[Callable[[], object], ...] = (
        lambda: soon(lambda: not _serving(federation), "the ServerApp has ended"),
        federation.heal,
        lambda: soon(lambda: not federation.orphans(), "no process is left"),
    )
    for check in checks:
        try:
            check()
        except RuntimeError as error:
            return str(error)
    return ""


def _serving(federation: Federation) -> bool:
    return bool(federation.pid_of("serverapp", ""))


def end_of(
    federation: Federation, following: "subprocess.Popen[bytes]", name: str, began: float
) -> int:
    """Wait for the run's end; if the command gives up, `resume` is typed, as a person would.

    Returns how often it was typed; -1: the run has not ended well in its time.
    """
    by_hand = 0
    while True:
        try:
            code = following.wait(timeout=max(0.1, LIMIT_S - (time.monotonic() - began)))
        except subprocess.TimeoutExpired:
            end(following)
            return -1
        if code == 0:
            return by_hand
        if by_hand == MOST_BY_HAND:
            return -1
        time.sleep(PAUSE_S)
        by_hand += 1
        words = (COORDINATOR, "resume", "--folder", COORDINATOR)
        following = launch(federation.folder, name, *words)
