"""The contest: contestants take turns, repetition by repetition, in one run.

For each (sites, inner steps) all contestants are set up, each in a process of its own, and then
measured in turn, again and again, so that whatever else the machine does falls on all of them. A
row holds the median over repetitions and the lowest and highest.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from simulation.bench.contestants import Contestant
from simulation.bench.work import flops

LIBRARIES = ("wardround", "torch", "numpy", "numba", "flwr", "ray", "jax", "pfl", "higher")
Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, how often; longest_s: what takes longer per repetition is left out."""

    sites: Sequence[int]
    inner_steps: Sequence[int]
    repetitions: int
    seed: int
    longest_s: float


class Player:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, sites: int, steps: int, seed: int) -> None:
        arguments = [contestant.key, str(sites), str(steps), str(seed)]
        self._process = subprocess.Popen(  # noqa: S603 (this interpreter, our own module)
            [sys.executable, "-m", "simulation.bench.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def heard(self) -> dict[str, Any]:
        """Return the next line that it says; empty if it has ended."""
        assert self._process.stdout  # noqa: S101 (a pipe, see above)
        for line in self._process.stdout:
            if line.startswith("{"):
                said: dict[str, Any] = json.loads(line)
                return said
        return {}

    def play(self) -> dict[str, Any]:
        """Return what one more repetition costs."""
        assert self._process.stdin  # noqa: S101
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.heard()

    def close(self) -> None:
        """End the process: it ends by itself when nothing more can be asked."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def players(
    contestants: Sequence[Contestant], sites: int, steps: int, plan: Plan, say: Say
) -> Iterator[dict[str, tuple[Contestant, Player]]]:
    """Yield those that are ready to play; set up one after the other, ended with the block."""
    with ExitStack() as stack:
        ready = {}
        for contestant in contestants:
            say(f"{sites} sites, K = {steps}: setting up {contestant.key}")
            player = Player(contestant, sites, steps, plan.seed)
            stack.callback(player.close)
            if player.heard().get("ready"):
                ready[contestant.key] = (contestant, player)
            else:
                say(f"{contestant.key}: it failed to start")
        yield ready


def run(contestants: Sequence[Contestant], plan: Plan, say: Say) -> list[Row]:
    """Return all rows; what cannot or need not be measured is said."""
    rows: list[Row] = []
    able = []
    for contestant in contestants:
        if why := contestant.missing():
            say(f"{contestant.key}: left out, {why}")
        else:
            able.append(contestant)
    for steps in plan.inner_steps:
        quick = list(able)
        for sites in sorted(plan.sites):
            quick = [c for c in quick if not _too_slow(c, sites, steps, rows, plan, say)]
            rows += _cell(quick, sites, steps, plan, say)
    return rows


def _too_slow(
    contestant: Contestant, sites: int, steps: int, rows: Sequence[Row], plan: Plan, say: Say
) -> bool:
    """Whether a repetition would take too long, by what a site took at fewer sites."""
    same = [r for r in rows if r["key"] == contestant.key and r["inner_steps"] == steps]
    expected = 1e-6 * same[-1]["wall_us_per_site"] * sites if same else 0.0
    if expected > plan.longest_s:
        say(f"{contestant.key}: left out at {sites} sites, a round would take {expected:.0f} s")
    return expected > plan.longest_s


def _cell(
    contestants: Sequence[Contestant], sites: int, steps: int, plan: Plan, say: Say
) -> list[Row]:
    found: dict[str, list[dict[str, Any]]] = {}
    with players(contestants, sites, steps, plan, say) as ready:
        for number in range(plan.repetitions):
            say(f"{sites} sites, K = {steps}: repetition {number + 1} of {plan.repetitions}")
            for key, (_, player) in ready.items():
                if result := player.play():
                    found.setdefault(key, []).append(result)
        return [
            row(contestant, sites, steps, found[key])
            for key, (contestant, _) in ready.items()
            if key in found
        ]


def row(contestant: Contestant, sites: int, steps: int, results: Sequence[dict[str, Any]]) -> Row:
    """Return one row of the results: medians, and the range of the CPU time."""
    cpu = [r["cpu_us"] for r in results]
    limit = median(r["peak_flops"] for r in results)
    stages = results[0]["split"] if contestant.workers == 1 else {}  # else they are elsewhere
    return {
        "key": contestant.key,
        "engine": contestant.name,
        "part": contestant.kind,
        "workers": contestant.workers,
        "sites": sites,
        "inner_steps": steps,
        "cpu_us_per_site": median(cpu),
        "cpu_us_low": min(cpu),
        "cpu_us_high": max(cpu),
        "wall_us_per_site": median(r["wall_us"] for r in results),
        "peak_rss_mib": max(r["rss_mib"] for r in results),
        "share_of_peak": _share(contestant, steps, median(cpu), limit),
        "peak_gflops": limit / 1e9,
        "split_us": {stage: median(r["split"][stage] for r in results) for stage in stages},
    }


def _share(contestant: Contestant, steps: int, cpu_us: float, limit: float) -> float | None:
    """Return the share of the machine's peak, where the work's operations are counted."""
    if contestant.kind == "evaluation":
        return None
    return flops(steps) / (cpu_us * 1e-6) / limit


def machine() -> dict[str, Any]:
    """Return what the contest ran on."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": dict(_versions()),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
