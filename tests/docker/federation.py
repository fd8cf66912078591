"""compose.demo.yaml from nothing to a finished run: what four hospitals and a coordinator type."""

import json
import os
import time
from pathlib import Path

from simulation.federation_demo import HOSPITALS, KREA, LIMITS, STUDY
from simulation.founding import COHORT, write_patients
from tests.docker.engine import Project, say

USER = 49999
ROUNDS = 12


class Federation:
    """The parties' containers; folder: what the host keeps of the hospitals."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self._folder = project, folder
        self.up_s: dict[str, float] = {}

    def found(self) -> str:
        """Make the coordinator, sign a study, open the edge; return the study's id."""
        coordinator, study = "coordinator", self._folder / "study.toml"
        study.write_text(STUDY.replace("rounds = 10", f"rounds = {ROUNDS}"))
        self.project.run(coordinator, "coordinator", "init", ".", "--name", "wards",
                         "--host", "coordinator")  # fmt: skip
        self.start(coordinator)
        copy = ("sh", "-c", "cat > /tmp/study.toml")
        self.project.enter(coordinator, *copy, given=study.read_text()).well()
        return (
            self._tell("coordinator", "sign", "/tmp/study.toml", "--folder", ".")
            .split("id ")[1]
            .split()[0]
        )

    def join(self, site: str, study: str) -> None:
        """Let a hospital join, map its columns, check its data, and approve."""
        node, data = self._folder / site / "node", self._folder / site / "data"
        for folder in (node / "state" / "supernode", data):
            folder.mkdir(parents=True, mode=0o700)
        write_patients(data / "patients.csv", site)
        self._hand_over(site)
        code = self._tell("coordinator", "invite", site).strip()
        self.project.run(f"{site}-join", "node", "join", code, "--site", site)
        desk = f"{site}-desk"
        self.project.run(desk, "node", "map", "--study", "study.toml",
                         "--path", "/data/patients.csv", "--write")  # fmt: skip
        with (node / "site.toml").open("a") as rules:
            rules.write(LIMITS + (KREA if site == "cedar" else ""))
        self.project.run(desk, "node", "check", "--study", "study.toml")
        self.project.run(desk, "node", "budget", "--open", "20", "--cohort", COHORT)
        self.project.run(desk, "node", "approve", "study.toml", "--cohort", COHORT, "--yes", study)

    def agree(self) -> None:
        """Have every hospital sign the roster: the first time round not all have yet."""
        digest = json.loads(self._tell("coordinator", "roster", "--json"))["hash"]
        for site in (*HOSPITALS, *HOSPITALS):
            self.project.run(f"{site}-join", "node", "roster", "--yes", digest)

    def start(self, *services: str) -> None:
        """Start services, and note how long each takes until it is healthy."""
        say(f"$ compose up --detach {' '.join(services)}")
        began = time.monotonic()
        self.project.compose("up", "--detach", "--no-deps", *services)
        for service in services:
            self.project.wait(service)
            self.up_s[service] = time.monotonic() - began

    def run(self) -> str:
        """Run the study to its end, or go on with it, and return what is told of it."""
        return self._tell("coordinator", "run")

    def run_until(self, num_rounds: int) -> None:
        """Start the study and return once so many rounds have closed."""
        self._tell("coordinator", "run", "--detach")
        for _ in range(300):
            told = json.loads(
                self.project.enter(
                    "coordinator", "wardround", "coordinator", "status", "--json"
                ).said
            )
            if (told["status"] or {"round_index": 0})["round_index"] >= num_rounds:
                return
            time.sleep(0.2)
        raise AssertionError(self.project.logs("coordinator"))

    def _tell(self, *words: str) -> str:
        say(f"$ compose exec coordinator wardround {' '.join(words)}")
        return self.project.enter("coordinator", "wardround", *words).well()

    def _hand_over(self, site: str) -> None:
        """Give the site's folders to the user of the containers."""
        for path in [self._folder / site, *(self._folder / site).rglob("*")]:
            os.chown(path, USER, USER)
