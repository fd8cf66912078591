"""A node's folder, and the service on it as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from client.executor.status import summary
from tests.coordinating import free_ports
from tests.e2e.keys import write_certificates, write_node_key

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete folder, whose coordinator is a port where nobody listens."""
    own = tmp_path / "node"
    own.mkdir()
    write_certificates(own)
    write_node_key(own / "node.key")
    (port,) = free_ports(1)
    write_site_file(own, coordinator={"address": f"127.0.0.1:{port}"})
    return own


def write_site_file(folder: Path, **sections: Any) -> None:
    about: dict[str, Any] = {
        "site": "Ash",
        "source": {"kind": "file", "path": "patients.csv"},
        "coordinator": {"address": "localhost:1"},
    }
    (folder / "site.toml").write_text(tomli_w.dumps(about | sections))


class Running:
    """A service that was started as a process; `status` reads what it has written."""

    def __init__(self, folder: Path, *parts: str, patience_s: float = 100) -> None:
        self.folder = folder
        tests = (ROOT / "tests" / "e2e", ROOT / "tests" / "client" / "executor")
        paths = os.pathsep.join(map(str, (ROOT, *tests)))
        command = [sys.executable, "-m", "table_node", str(folder), "light_wiring"]
        self.process = subprocess.Popen(
            [*command, str(patience_s), *parts],
            env=os.environ | {"PYTHONPATH": paths, "SECRET_OF_THE_DATABASE": "canary"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def status(self) -> dict[str, Any]:
        return summary(self.folder)

    def pids(self) -> dict[str, int]:
        return dict(self.status.get("pids", {}))

    def wait(self, there: Callable[[], bool], seconds: float = 40) -> None:
        limit = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < limit, self.status
            time.sleep(0.05)

    def ready(self) -> bool:
        status = self.status
        return bool(status.get("ready") and status["pids"].get("supernode"))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def service(folder: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(*parts: str) -> Running:
        running.append(Running(folder, *parts))
        return running[-1]

    yield start
    for each in running:
        each.end()


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
