"""What a repetition costs: CPU time of this process and of all that it started, and memory."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """CPU and wall seconds."""

    cpu: float
    wall: float


def timed(action: Callable[[], object], *, family: bool) -> Cost:
    """Return what one call of `action` costs; with `family`, descendants' CPU time is counted.

    Descendants are read in steps of 10 ms, so let such a call take a second or so.
    """
    cpu, wall = cpu_seconds(family=family), time.perf_counter()
    action()
    return Cost(cpu_seconds(family=family) - cpu, time.perf_counter() - wall)


def cpu_seconds(*, family: bool) -> float:
    """Return the CPU time that this process has used, and its living descendants."""
    own = time.process_time()
    return own + sum(_ticks(pid) for pid in descendants(os.getpid())) / TICKS if family else own


def descendants(root: int) -> list[int]:
    """Return the process ids below `root`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = list[int](), [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def peak_rss_mib(*, family: bool) -> float:
    """Return the largest resident memory this process has had, plus that of its descendants."""
    pids = [os.getpid(), *(descendants(os.getpid()) if family else [])]
    return sum(_high_water_kib(pid) for pid in pids) / 1024


def _high_water_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if "VmHWM" in line), 0)
