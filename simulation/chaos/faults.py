"""A fault, inflicted and taken back; who has no supervisor is started again as systemd would."""

import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from common.certificates import days_left
from server.control import set_wish
from simulation.chaos import cases as kinds
from simulation.chaos.cases import COORDINATOR, NODE, Case, Strike
from simulation.chaos.doubling import Doubler
from simulation.chaos.federation import Federation
from simulation.chaos.ground import LOST_PERCENT
from simulation.chaos.shims import LIFE_S, clock_shim, set_clock, short_lived_shim
from simulation.processes import send

DELAY_S, SPOILED, LOST, FOUND_S, FULL_S = 0.7, 3, 3, 20.0, 0.2


def prepare(federation: Federation, case: Case) -> None:
    """Put services under what a case's faults need, and wait until all are well."""
    for strike in case.strikes:
        shim = federation.folder / f"shim-{strike.service}"
        if strike.fault == kinds.CLOCK and clock_shim(shim):
            federation.wear(strike.service, shim)
        if strike.fault == kinds.EXPIRE:
            federation.wear(strike.service, short_lived_shim(shim))
    federation.heal()


def inflict(federation: Federation, case: Case) -> bool:
    """Let a case's faults happen and last; return whether their targets were there."""
    with ThreadPoolExecutor(len(case.strikes)) as hands:
        return all(list(hands.map(lambda strike: _strike(federation, strike), case.strikes)))


def _strike(federation: Federation, strike: Strike) -> bool:
    time.sleep(strike.wait)
    return FAULTS[strike.fault](federation, strike)


def _pid(federation: Federation, strike: Strike) -> int:
    """Return the part's pid, or 0: it has not come within a while, as a ServerApp may not yet."""
    end = time.monotonic() + FOUND_S
    while not (pid := federation.pid_of(strike.part, strike.site)) and time.monotonic() < end:
        time.sleep(0.05)
    return pid


def _kill(federation: Federation, strike: Strike) -> bool:
    there = send(_pid(federation, strike), signal.SIGKILL)
    if strike.part in (COORDINATOR, NODE):
        federation.services[strike.service].wait()
        time.sleep(strike.seconds)
        federation.start(strike.service)
    return there


def _freeze(federation: Federation, strike: Strike) -> bool:
    pid = _pid(federation, strike)
    there = send(pid, signal.SIGSTOP)
    time.sleep(strike.seconds)
    send(pid, signal.SIGCONT)
    return there


def _hurt_line(federation: Federation, strike: Strike) -> bool:
    line = federation.lines[strike.site]
    if strike.fault == kinds.DROP:
        line.cut()
    elif strike.fault == kinds.DELAY:
        line.slow(DELAY_S)
    elif strike.fault == kinds.HALF_CLOSE:
        line.half_close()
    elif strike.fault == kinds.CORRUPT:
        line.spoil(SPOILED)
    else:
        line.lose_replies(LOST)
    time.sleep(strike.seconds)
    line.mend()
    return True


def _hurt_packets(federation: Federation, strike: Strike) -> bool:
    """Throw packets away, so that TCP itself is at fault; else the proxy holds what it has."""
    network, line = federation.networks.get(strike.site), federation.lines[strike.site]
    all_of_them = strike.fault == kinds.BLACK_HOLE
    if network:
        network.lose(100 if all_of_them else LOST_PERCENT)
    elif all_of_them:
        line.hold()
    time.sleep(strike.seconds)
    if network:
        network.mend()
    line.mend()
    return bool(network) or all_of_them


def _duplicate(federation: Federation, strike: Strike) -> bool:
    doubler, line = Doubler(federation.coordinator), federation.lines[strike.site]
    try:
        line.detour(doubler.port)
        time.sleep(strike.seconds)
        line.mend()
    finally:
        doubler.close()
    return doubler.doubled > 0


def _fill_disk(federation: Federation, strike: Strike) -> bool:
    """Fill the party's own disk; without one, have its writes fail as they do on a full disk."""
    disk = federation.disks.get(strike.service)
    if disk is None:
        part = kinds.SERVERAPP if strike.part == COORDINATOR else kinds.EXECUTOR
        return _limit_files(_pid(federation, Strike(strike.fault, part, strike.site, 0)), strike)
    end = time.monotonic() + strike.seconds
    while time.monotonic() < end:
        disk.fill()  # again and again: what others give back is taken too
        time.sleep(FULL_S)
    disk.empty()
    return True


def _limit_files(pid: int, strike: Strike) -> bool:
    """A limit on the size of files (RLIMIT_FSIZE 0) needs no root; it says EFBIG, not ENOSPC."""
    try:
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE) if pid else None
        if before is None:
            return False
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        time.sleep(strike.seconds)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    except ProcessLookupError:
        pass
    return True


def _jump(federation: Federation, strike: Strike) -> bool:
    shim = federation.code.get(strike.service)
    if shim is None:
        return False
    set_clock(shim, strike.jump)
    time.sleep(strike.seconds)
    set_clock(shim, 0.0)
    federation.behind = time.time() + max(0.0, strike.jump) + 2
    return True


def _let_expire(federation: Federation, strike: Strike) -> bool:
    """Hold the run until the certificate has ended with which the coordinator was started."""
    folder = federation.coordinator
    began = folder.server_certificate.read_bytes()
    left = days_left(began, now=datetime.now(UTC)) * 86400
    if left > LIFE_S:
        return False
    set_wish(federation.run_folder, "pause")
    time.sleep(max(0.0, left) + strike.seconds)
    set_wish(federation.run_folder, "run")
    return left > 0 and folder.server_certificate.read_bytes() != began


FAULTS: dict[str, Callable[[Federation, Strike], bool]] = {
    kinds.KILL: _kill,
    kinds.FREEZE: _freeze,
    **dict.fromkeys(
        (kinds.DROP, kinds.DELAY, kinds.HALF_CLOSE, kinds.CORRUPT, kinds.LOST_REPLIES), _hurt_line
    ),
    **dict.fromkeys((kinds.BLACK_HOLE, kinds.LOSS), _hurt_packets),
    kinds.DUPLICATE: _duplicate,
    kinds.DISK_FULL: _fill_disk,
    kinds.CLOCK: _jump,
    kinds.EXPIRE: _let_expire,
}
