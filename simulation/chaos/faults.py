"""A fault, inflicted and taken back; who has no supervisor is started again as systemd would."""

import resource
import signal
import time

from simulation.chaos.cases import (
    COORDINATOR,
    DELAY,
    DROP,
    FREEZE,
    HALF_CLOSE,
    KILL,
    LINE,
    NODE,
    Case,
)
from simulation.chaos.federation import Federation
from simulation.chaos.processes import send

DELAY_S, SPOILED, FOUND_S = 0.7, 3, 20.0


def inflict(federation: Federation, case: Case) -> bool:
    """Let the fault happen and last; return whether its target was there."""
    if case.part == LINE:
        _hurt_line(federation, case)
        return True
    pid = _found(federation, case)
    if case.fault == KILL:
        return _kill(federation, case, pid)
    if case.fault == FREEZE:
        return _freeze(pid, case.seconds)
    return _fill_disk(pid, case.seconds)


def _found(federation: Federation, case: Case) -> int:
    """Return the part's pid, or 0: it has not come within a while, as a ServerApp may not yet."""
    end = time.monotonic() + FOUND_S
    while not (pid := federation.pid_of(case.part, case.site)) and time.monotonic() < end:
        time.sleep(0.05)
    return pid


def _hurt_line(federation: Federation, case: Case) -> None:
    line = federation.lines[case.site]
    if case.fault == DROP:
        line.cut()
    elif case.fault == DELAY:
        line.slow(DELAY_S)
    elif case.fault == HALF_CLOSE:
        line.half_close()
    else:
        line.spoil(SPOILED)
    time.sleep(case.seconds)
    line.mend()


def _kill(federation: Federation, case: Case, pid: int) -> bool:
    there = send(pid, signal.SIGKILL)
    if case.part in (COORDINATOR, NODE):
        name = case.site or COORDINATOR
        federation.services[name].wait()
        time.sleep(case.seconds)
        federation.start(name)
    return there


def _freeze(pid: int, seconds: float) -> bool:
    there = send(pid, signal.SIGSTOP)
    time.sleep(seconds)
    send(pid, signal.SIGCONT)
    return there


def _fill_disk(pid: int, seconds: float) -> bool:
    """Have the process's writes to files fail for a while, as they do on a full disk.

    A limit on the size of files (RLIMIT_FSIZE 0) needs no root: the error is EFBIG, not ENOSPC.
    """
    try:
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE) if pid else None
        if before is None:
            return False
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        time.sleep(seconds)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    except ProcessLookupError:
        pass
    return True
