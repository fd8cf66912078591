"""A container engine and its compose command, as the tests use them.

CONTAINER_ENGINE and COMPOSE name others than podman and podman-compose, such as `docker` and
`docker compose`.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SETTINGS = Path(__file__).with_name("containers.conf")
ENGINE = os.environ.get("CONTAINER_ENGINE", "podman")
COMPOSE = shlex.split(
    os.environ.get("COMPOSE", str(Path(sys.executable).with_name("podman-compose")))
)


class Ended(NamedTuple):
    """How a command ended, and what it printed on stdout and on stderr."""

    code: int
    said: str
    complained: str

    def well(self) -> str:
        """Return what it said, if it ended well."""
        assert self.code == 0, (self.said + self.complained)[-5000:]
        return self.said


def missing() -> str:
    """Return why nothing can be run here, "" if it can."""
    needed = [ENGINE, COMPOSE[0]]
    if ENGINE == "podman":
        needed += ["buildah", "runc", "debootstrap"]
        if os.geteuid():
            return "podman with cgroupfs and debootstrap need root"
    absent = [name for name in needed if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (docs/docker.md)" if absent else ""


def call(*words: str, given: str = "", more: Mapping[str, str] = {}, seconds: float = 300) -> Ended:
    """Run a command to its end; given: its standard input."""
    environment = os.environ | {"CONTAINERS_CONF": str(SETTINGS)} | dict(more)
    done = subprocess.run(
        words,
        input=given,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=seconds,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def say(text: str) -> None:
    """Print a line of the transcript at once."""
    print(text, flush=True)


class Project:
    """The services of a compose file, by name; more: its environment."""

    def __init__(self, file: str, name: str, more: Mapping[str, str]) -> None:
        self._compose = [*COMPOSE, "--project-name", name, "--file", f"docker/{file}"]
        self._name, self._more = name, more

    def compose(self, *words: str) -> str:
        """Run a compose command that has to succeed and return what it printed."""
        return call(*self._compose, *words, more=self._more, seconds=600).well()

    def run(self, service: str, *words: str) -> str:
        """Run a command of ours in a container of its own and return what it printed."""
        shown = " ".join(word if len(word) < 60 else word[:24] + "..." for word in words)
        say(f"$ compose run --rm {service} {shown}")
        return self.compose("--profile", "tools", "run", "--rm", "-T", service, *words)

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        labels = (
            f"label=com.docker.compose.project={self._name}",
            f"label=com.docker.compose.service={service}",
        )
        found = call(ENGINE, "ps", "--all", "--quiet", *(f"--filter={each}" for each in labels))
        (container,) = found.well().split()
        return container

    def kill(self, service: str) -> None:
        """End a service without a word (SIGKILL), and start its container again."""
        call(ENGINE, "kill", "--signal", "KILL", self.container(service)).well()
        call(ENGINE, "start", self.container(service)).well()

    def enter(self, service: str, *words: str, given: str = "") -> Ended:
        """Run a command in a service's container."""
        return call(ENGINE, "exec", "--interactive", self.container(service), *words, given=given)

    def healthy(self, service: str) -> bool:
        """Run the service's health check once; no timer does it without systemd."""
        return call(ENGINE, "healthcheck", "run", self.container(service)).code == 0

    def wait(self, service: str, *, seconds: float = 120) -> None:
        """Wait until a service is healthy."""
        began = time.monotonic()
        while not self.healthy(service):
            assert time.monotonic() - began < seconds, self.logs(service)
            time.sleep(1)

    def logs(self, service: str) -> str:
        """Return the last of what a service printed."""
        return "".join(call(ENGINE, "logs", "--tail", "40", self.container(service))[1:])

    def about(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        (found,) = json.loads(call(ENGINE, "inspect", self.container(service)).well())
        return dict(found)

    def stop(self, service: str) -> tuple[float, int]:
        """Ask a service to end (SIGTERM); return the seconds and its exit code."""
        began, container = time.monotonic(), self.container(service)
        call(ENGINE, "stop", "--time", "20", container).well()
        return time.monotonic() - began, int(self.about(service)["State"]["ExitCode"])
