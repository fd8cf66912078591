"""A small federation that stays up: a coordinator, two hospitals, and a line to each of these."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from client.executor.status import summary
from server.control import read_status
from server.coordinator.folder import CoordinatorFolder, open_folder
from simulation.chaos.cases import COORDINATOR, NODE, OF_HOSPITALS, SERVERAPP
from simulation.chaos.processes import child_of, command, end, end_leftovers, launch
from simulation.chaos.proxy import Line
from simulation.federation_demo import free_port, wait_for, write_patients

SITES = ("ash", "birch")
ROUNDS, RUN_SEED = 6, 7
STUDY = f"""schema = 1
name = "chaos"
purpose = "A rehearsal on made-up patients: what becomes of a run whose parts are hurt"
features = [
  {{ name = "age", unit = "years", usual = [20, 90], plausible = [18, 110] }},
  {{ name = "sex", kind = "category", categories = ["F", "M"] }},
  {{ name = "creatinine", unit = "mg/dL", usual = [0.4, 2.0], plausible = [0.1, 20], log = true }},
]
tasks = [{{ name = "kidney disease", column = "kidney", prevalence = [0.05, 0.5] }}]
sites = [{{ name = "ash" }}, {{ name = "birch", weight = 2.0 }}]
model = {{ hidden = 16 }}
algorithm = {{ name = "fomaml", inner_steps = 3 }}
episodes = {{ support = 5, query = 5 }}
server = {{ rounds = {ROUNDS}, optimizer = "adam", meta_lr = 0.01, deadline_s = 100 }}

[privacy]
profile = "none"
"""
LIMITS = "\n[limits]\nunprotected = true\n"
MARKS = {"supernode": "client.executor.supernode", "executor": "client.executor.worker"}


class Federation:
    """The parties' folders below one, and the processes that stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: dict[str, subprocess.Popen[bytes]] = {}
        self.lines: dict[str, Line] = {}

    @property
    def coordinator(self) -> CoordinatorFolder:
        """The coordinator's folder."""
        return open_folder(self.folder / COORDINATOR)

    @property
    def run_folder(self) -> Path:
        """Where the study's run is kept; it is moved away after each."""
        return self.folder / COORDINATOR / "runs" / self.study[:12]

    def found(self) -> None:
        """Set everything up, once, and start it."""
        port, inner = free_port(), free_port()
        self._do(COORDINATOR, "init", COORDINATOR, "--name", "wards",
                 "--host", "127.0.0.1", "--port", str(port))  # fmt: skip
        settings = self.folder / COORDINATOR / "coordinator.toml"
        told = re.sub(r"(\[superlink\][^\[]*?port = )\d+", rf"\g<1>{inner}", settings.read_text())
        settings.write_text(told)
        (self.folder / "study.toml").write_text(STUDY)
        said = self._do(COORDINATOR, "sign", "study.toml", "--folder", COORDINATOR)
        self.study = said.split("id ")[1].split()[0]
        self.start(COORDINATOR)
        wait_for(port)
        for site in SITES:
            self._join(site, port)
            self.start(site)

    def _join(self, site: str, port: int) -> None:
        code = self._do(COORDINATOR, "invite", site, "--folder", COORDINATOR).strip()
        self._do(NODE, "join", code, "--folder", site, "--site", site)
        write_patients(self.folder / site / "patients.csv", site)
        self._do(NODE, "map", "--folder", site, "--study", f"{site}/study.toml",
                 "--path", "patients.csv", "--write")  # fmt: skip
        self.lines[site] = Line(port)
        rules = self.folder / site / "site.toml"
        text = rules.read_text().replace(f":{port}", f":{self.lines[site].port}")
        rules.write_text(text + LIMITS)
        self._do(NODE, "approve", f"{site}/study.toml", "--folder", site,
                 "--yes", self.study)  # fmt: skip

    def start(self, name: str) -> None:
        """Start a service: the coordinator's, or a hospital's, as systemd would."""
        family = COORDINATOR if name == COORDINATOR else NODE
        words = (family, "start", "--folder", name)
        self.services[name] = launch(self.folder, name, *words)

    def pid_of(self, part: str, site: str) -> int:
        """Return the pid of a part now, or 0; site: of a hospital's part."""
        if part in (COORDINATOR, NODE):
            return self.services[site or COORDINATOR].pid
        if part == SERVERAPP:
            status = read_status(self.run_folder) if self.run_folder.exists() else None
            return status.pid if status and status.alive else 0
        if part in OF_HOSPITALS:
            return child_of(self.services[site].pid, MARKS[part])
        return child_of(self.services[COORDINATOR].pid, "server.coordinator.flower_process", part)

    def heal(self, seconds: float = 200.0) -> None:
        """Start what has ended and wait until all nodes are connected again.

        Raises:
            RuntimeError: they are not.
        """
        for line in self.lines.values():
            line.mend()
        for name, service in list(self.services.items()):
            if service.poll() is not None:
                self.start(name)
        wait_until(self.connected, seconds, "all hospitals connected")

    def connected(self) -> bool:
        """Whether every hospital is connected."""
        return all(summary(self.folder / site)["state"] == "connected" for site in SITES)

    def closed(self) -> int:
        """Return how many rounds of the present run have closed."""
        path = self.run_folder / "rounds.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum('"closed":true' in line for line in lines)

    def put_away(self, name: str) -> Path:
        """Move the run's folder to one of its own, so that the next begins anew; return it."""
        kept = self.folder / "kept" / name
        kept.parent.mkdir(exist_ok=True)
        if self.run_folder.exists():
            shutil.move(self.run_folder, kept)
        return kept

    def restart(self) -> None:
        """Stop everything and start it again: after a run that was lost."""
        self.stop()
        for name in (COORDINATOR, *SITES):
            self.start(name)

    def stop(self) -> None:
        """End all processes."""
        for service in reversed(self.services.values()):
            end(service)
        end_leftovers(self.folder)

    def close(self) -> None:
        """End all processes and lines."""
        self.stop()
        for line in self.lines.values():
            line.close()

    def _do(self, *words: str) -> str:
        return command(self.folder, *words)


def wait_until(there: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is the case.

    Raises:
        RuntimeError: it is not, after so many seconds.
    """
    limit = time.monotonic() + seconds
    while not there():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what}: not after {seconds:g} s")
        time.sleep(0.1)
