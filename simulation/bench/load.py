"""`make bench-scale`: a coordinator and a hundred hospitals on one machine, and its memory.

    python -m simulation.bench.load [--real 4] [--light 96] [--rounds 50] [--parameters N] [--json]

Real hospitals are processes as `wardround node start` makes them, with made-up patients; the light
ones (light.py) speak the same wire and have none. Of each round: how long it took, who took part,
and the resident memory of SuperLink, edge and ServerApp; at the end by how many megabytes a round
each has grown, by least squares from round 10 on.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from common.learner import make_learner
from common.study import read_study
from server.control import read_status
from server.coordinator.fleet import control_api
from server.coordinator.folder import open_folder
from simulation.bench.rounds_ours import Ours
from simulation.chaos.studies import SMALL
from simulation.federation_demo import say
from simulation.founding import COORDINATOR
from simulation.processes import child_of, launch_program, wait_until

PARTS = ("superlink", "edge", "serverapp")
TOGETHER, SETTLED = 48, 10
"""Light nodes of one process; rounds after which memory is to be flat."""
LARGEST_HIDDEN, OTHER_INPUTS = 4096, 6
ROUND_S = 60.0


class Loaded(Ours):
    """Hospitals of which most are light; rows: of each round, what was seen when it closed."""

    def __init__(
        self, folder: Path, *, real: int, light: int, rounds: int, parameters: int
    ) -> None:
        super().__init__(folder, hospitals=real, profile="none", rounds=rounds)
        self._light = [f"light{number}" for number in range(light)]
        self._listed += self._light
        self.wait_s = 300.0 + rounds * ROUND_S
        self.rows: list[dict[str, float]] = []
        self._wards = wards_for(parameters)
        if self._wards:
            self.small = large(self._wards)

    def found(self) -> None:
        """Set everything up and wait until all hospitals are connected."""
        super().found()
        for number, first in enumerate(range(0, len(self._light), TOGETHER)):
            names = self._light[first : first + TOGETHER]
            words = ["-m", "simulation.bench.light", COORDINATOR, str(1 + number), *names]
            self._services.append(
                launch_program(self._folder, f"light-{number}", [sys.executable, *words])
            )
        wait_until(self._all_online, "all nodes online")

    @property
    def dim(self) -> int:
        """The number of parameters."""
        return make_learner(read_study(self._folder / "study.toml"), seed=0).dim

    def closed(self, rounds: int, when: float) -> None:
        """Note what is to be seen of the coordinator now, and tell it."""
        records = (self._run_folder / "rounds.jsonl").read_text().splitlines()
        sites = len(json.loads(records[-1])["accepted"])
        row = {"round": rounds, "when": when, "sites": sites, "answered": self._answered()}
        row |= {part: resident_mb(pid) for part, pid in self._pids().items()}
        before = self.rows[-1]["when"] if self.rows else when
        self.rows.append(row)
        memory = ", ".join(f"{part} {row[part]:.1f} MB" for part in PARTS)
        say(f"round {rounds:3d}  {when - before:6.2f} s  {sites:3d} sites  {memory}")

    def kept_kb(self) -> dict[str, float]:
        """Return the kilobytes of what is kept on disk: Flower's database and the rounds."""
        database = (self._folder / COORDINATOR).glob("superlink.db*")
        records = self._folder / f"run-{self._kept}" / "rounds.jsonl"
        sizes = {"database": sum(path.stat().st_size for path in database)}
        return {
            name: size / 1e3 for name, size in (sizes | {"rounds": records.stat().st_size}).items()
        }

    def _patients(self, path: Path, site: str) -> None:
        super()._patients(path, site)
        if self._wards:
            add_wards(path, self._wards)

    def _all_online(self) -> bool:
        with control_api(open_folder(self._folder / COORDINATOR)) as api:
            online = sum(node.status == "online" for node in api.nodes())
        return online == len(self._listed)

    def _pids(self) -> dict[str, int]:
        service, module = self._services[0].pid, "server.coordinator.flower_process"
        status = read_status(self._run_folder)
        found = {part: child_of(service, module, part) for part in PARTS[:2]}
        return found | {"serverapp": status.pid if status else 0}

    def _answered(self) -> int:
        logs = sorted(self._folder.glob("light-*.log"))
        lines = [path.read_text().splitlines()[-1:] for path in logs]
        return sum(int(line[0].split()[1]) for line in lines if line and line[0][:1].isdigit())


def wards_for(parameters: int) -> int:
    """Return how many categories make a model of about so many parameters; 0: the small model."""
    return max(2, round(parameters / LARGEST_HIDDEN) - OTHER_INPUTS - 2) if parameters else 0


def large(wards: int) -> str:
    """Return the study's features, task and a model as wide as may be, with so many wards."""
    names = ", ".join(f'"w{number}"' for number in range(wards))
    ward = f'  {{ name = "ward", kind = "category", categories = [{names}] }},\n]\ntasks'
    wide = SMALL.replace("]\ntasks", ward, 1).replace("hidden = 16", f"hidden = {LARGEST_HIDDEN}")
    return wide.replace("query = 5 }", "query = 5, meta_batch = 1 }")


def add_wards(path: Path, wards: int) -> None:
    """Give each patient of a table a ward."""
    head, *rows = path.read_text().splitlines()
    rows = [f"{row},w{number % wards}" for number, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},ward", *rows]) + "\n")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in megabytes, or NaN if it is gone (Linux)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(rows: Sequence[dict[str, float]], part: str) -> float:
    """Return by how many megabytes a round a part has grown from round `SETTLED` on."""
    told = [(row["round"], row[part]) for row in rows if row["round"] >= SETTLED]
    told = [(x, y) for x, y in told if np.isfinite(y)]
    if len(told) < 2:
        return float("nan")
    x, y = np.array(told, dtype=np.float64).T
    return float(np.polyfit(x, y, 1)[0])


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median seconds of a round, requests a second, last size and growth by part.

    What so few rounds do not tell is left out.
    """
    seconds = np.diff([row["when"] for row in rows])
    asked = rows[-1]["answered"] - rows[0]["answered"]
    found = {
        "round_s": float(statistics.median(seconds)),
        "requests_per_s": asked / float(seconds.sum()),
        "sites": min(row["sites"] for row in rows),
    }
    for part in PARTS:
        found |= {f"{part}_mb": rows[-1][part], f"{part}_mb_per_round": growth(rows, part)}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=int, default=4, help="hospitals that are real nodes")
    parser.add_argument("--light", type=int, default=96, help="hospitals without patients")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--parameters", type=int, default=0, help="of the model, about; else small")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder, with its logs")
    given = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing is left running
    folder = Path(mkdtemp(prefix="load-"))
    loaded = Loaded(
        folder / "load",
        real=given.real,
        light=given.light,
        rounds=given.rounds,
        parameters=given.parameters,
    )
    try:
        loaded.found()
        sites, load = given.real + given.light, os.getloadavg()[0]
        say(f"{sites} sites, {loaded.dim} parameters; load {load:.1f}")
        loaded.run()
        found = summary(loaded.rows) | loaded.kept_kb() | {"load": os.getloadavg()[0]}
        rounded = {name: round(value, 3) for name, value in found.items()}
        say(json.dumps({"schema": 1} | rounded) if given.json else lines(rounded))
    finally:
        loaded.close()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


def lines(found: dict[str, float]) -> str:
    """Return the figures, one a line."""
    return "\n".join(f"{name:<24} {value:g}" for name, value in found.items())


if __name__ == "__main__":
    main()
