"""A federation of ours for `rounds.py`: a coordinator and hospitals as processes over TLS."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from client.executor.status import summary
from simulation.chaos.processes import command, end, end_leftovers, launch
from simulation.chaos.studies import COHORT, SMALL
from simulation.federation_demo import free_port, wait_for, write_patients

COORDINATOR = "coordinator"
WAIT_S, POLL_S = 240.0, 0.01
PRIVACY = {
    "none": 'profile = "none"\n',
    "masked": 'profile = "masked"\nclip_norm = 0.5\nnoise_multiplier = 4.0\ncoin = 0.5\n'
    "spare_rounds = 5\n",
}
LIMITS = {
    "none": "\n[limits]\nunprotected = true\nmax_hidden = 4096\n",
    "masked": "\n[limits]\nmin_cohort = 4\nmax_epsilon = 50.0\n",
}


class Ours:
    """Hospitals of one profile below one folder; `found` starts them, `close` ends them."""

    small, wait_s = SMALL, WAIT_S
    """Features, task and model of the study; seconds that its run may take."""

    def __init__(self, folder: Path, *, hospitals: int, profile: str, rounds: int) -> None:
        self.sites = [f"site{number}" for number in range(hospitals)]
        self.profile, self._rounds = profile, rounds
        self._listed = list(self.sites)
        self._folder = folder.resolve()
        self._services: list[subprocess.Popen[bytes]] = []
        self._kept = 0

    def found(self) -> None:
        """Set everything up and wait until all hospitals are connected."""
        self._folder.mkdir(parents=True)
        port, inner = free_port(), free_port()
        self._do(COORDINATOR, "init", COORDINATOR, "--name", "wards",
                 "--host", "127.0.0.1", "--port", str(port))  # fmt: skip
        settings = self._folder / COORDINATOR / "coordinator.toml"
        told = re.sub(r"(\[superlink\][^\[]*?port = )\d+", rf"\g<1>{inner}", settings.read_text())
        settings.write_text(told)
        (self._folder / "study.toml").write_text(self._study())
        said = self._do(COORDINATOR, "sign", "study.toml", "--folder", COORDINATOR)
        study = said.split("id ")[1].split()[0]
        self._run_folder = self._folder / COORDINATOR / "runs" / study[:12]
        self._stay(COORDINATOR, COORDINATOR)
        wait_for(port)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda site: self._join(site, study), self.sites))
        if self.profile == "masked":
            self._agree_on_keys()
        for site in self.sites:
            self._stay("node", site)
        wait_until(self._connected, "all hospitals connected")

    def run(self) -> list[float]:
        """Run the study once and return the seconds from the end of each round to the next's."""
        words = (COORDINATOR, "run", "--folder", COORDINATOR, "--seed", str(self._kept))
        following = launch(self._folder, "run", *words)
        ends: list[float] = []
        try:
            limit = time.monotonic() + self.wait_s
            while following.poll() is None or self._closed() > len(ends):
                if more := self._closed() - len(ends):
                    ends += [time.monotonic()] * more
                    self.closed(len(ends), ends[-1])
                if time.monotonic() > limit:
                    raise RuntimeError(f"{len(ends)} rounds after {self.wait_s:g} s")
                time.sleep(POLL_S)
        finally:
            end(following)
        if following.returncode or len(ends) != self._rounds:
            raise RuntimeError(f"the run failed: {self._folder / 'run.log'}")
        self._kept += 1
        shutil.move(self._run_folder, self._folder / f"run-{self._kept}")
        return [after - before for before, after in pairwise(ends)]

    def closed(self, rounds: int, when: float) -> None:
        """Note that so many rounds have closed; when: on the monotonic clock."""

    def close(self) -> None:
        """End all processes."""
        for service in reversed(self._services):
            end(service)
        end_leftovers(self._folder)

    def _closed(self) -> int:
        path = self._run_folder / "rounds.jsonl"
        return path.read_bytes().count(b'"closed":true') if path.exists() else 0

    def _connected(self) -> bool:
        return all(summary(self._folder / site)["state"] == "connected" for site in self.sites)

    def _study(self) -> str:
        sites = ", ".join(f'{{ name = "{site}", patients = 500 }}' for site in self._listed)
        server = f'rounds = {self._rounds}, optimizer = "sgd", meta_lr = 0.3, deadline_s = 100'
        head = 'schema = 1\nname = "rounds"\npurpose = "How long a round takes"\n'
        tail = f"sites = [{sites}]\nserver = {{ {server} }}\n\n[privacy]\n"
        return head + self.small + tail + PRIVACY[self.profile]

    def _join(self, site: str, study: str) -> None:
        code = self._do(COORDINATOR, "invite", site, "--folder", COORDINATOR).strip()
        self._do("node", "join", code, "--folder", site, "--site", site)
        self._patients(site)
        self._do("node", "map", "--folder", site, "--study", f"{site}/study.toml",
                 "--path", "patients.csv", "--write")  # fmt: skip
        with (self._folder / site / "site.toml").open("a") as rules:
            rules.write(LIMITS[self.profile])
        cohort: tuple[str, ...] = ()
        if self.profile == "masked":
            cohort = ("--cohort", COHORT)
            self._do("node", "budget", "--folder", site, "--open", "100", *cohort)
        self._do("node", "approve", f"{site}/study.toml", "--folder", site,
                 *cohort, "--yes", study)  # fmt: skip

    def _patients(self, site: str) -> None:
        write_patients(self._folder / site / "patients.csv", site)

    def _agree_on_keys(self) -> None:
        drafted = self._do(COORDINATOR, "roster", "--folder", COORDINATOR, "--json")
        digest = json.loads(drafted)["hash"]
        for site in (*self.sites, *self.sites):  # the first signature is not enough, the last is
            self._do("node", "roster", "--folder", site, "--yes", digest)

    def _stay(self, family: str, name: str) -> None:
        self._services.append(launch(self._folder, name, family, "start", "--folder", name))

    def _do(self, *words: str) -> str:
        return command(self._folder, *words)


def wait_until(there: Callable[[], bool], what: str, *, every_s: float = 0.1) -> None:
    """Wait until something is the case.

    Raises:
        RuntimeError: it is not, after `WAIT_S`.
    """
    limit = time.monotonic() + WAIT_S
    while not there():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what}: not after {WAIT_S:g} s")
        time.sleep(every_s)
