"""A federation of ours for `rounds.py`: a coordinator and hospitals as processes over TLS."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from client.executor.status import summary
from simulation.chaos.studies import SMALL
from simulation.founding import (
    COORDINATOR,
    agree_on_keys,
    approve,
    enter,
    found,
    free_port,
    wait_for,
    write_patients,
)
from simulation.processes import command, end, end_leftovers, launch, wait_until

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
        port = free_port()
        study = found(self._do, self._folder, self._study(), port=port)
        self._run_folder = self._folder / COORDINATOR / "runs" / study[:12]
        self._stay(COORDINATOR, COORDINATOR)
        wait_for(port)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda site: self._join(site, study), self.sites))
        if self.profile == "masked":
            agree_on_keys(self._do, self.sites)
        for site in self.sites:
            self._stay("node", site)
        wait_until(self._connected, "all hospitals connected", seconds=WAIT_S)

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
        enter(self._do, self._folder, site, LIMITS[self.profile], self._patients)
        approve(self._do, site, study, releases=100 if self.profile == "masked" else 0)

    def _patients(self, path: Path, site: str) -> None:
        write_patients(path, site)

    def _stay(self, family: str, name: str) -> None:
        self._services.append(launch(self._folder, name, family, "start", "--folder", name))

    def _do(self, *words: str) -> str:
        return command(self._folder, *words)
