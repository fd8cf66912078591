"""Flower's own commands as real processes: every wait has a deadline, every process is ended."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.coordinating import free_ports

ROOT = Path(__file__).parents[2]
LAST_LINES = 60
Settings = dict[str, str | int | float | bool]


class Flower:
    """Flower's commands, each party with a FLWR_HOME of its own below one short temporary folder.

    All that they start inherits FLWR_HOME, even what has detached itself; by it `end` knows what is
    to be ended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._simulation_port = str(free_ports(1)[0])

    def home(self, party: str) -> Path:
        """Return the party's FLWR_HOME."""
        home = self.folder / party
        home.mkdir(exist_ok=True)
        return home

    def start(self, name: str, *command: str, party: str) -> None:
        """Start a process that stays; its output goes to a log file."""
        with self._log(name).open("wb") as log:
            self._started[name] = subprocess.Popen(
                command,
                cwd=self.home(party),
                env=self._environment(party),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def last_words(self, name: str, *, seconds: float = 60) -> str:
        """Wait until a started process has ended by itself and return its output."""
        self._started[name].wait(timeout=seconds)
        return self._log(name).read_text(errors="replace")

    def stop(self, name: str, *, seconds: float = 12) -> None:
        """Ask a started process to end, which it must, with exit code 0."""
        process = self._started.pop(name)
        process.terminate()
        assert process.wait(timeout=seconds) == 0, f"{name} ended with {process.returncode}"

    def kill(self, name: str) -> None:
        """End a started process without a word (SIGKILL)."""
        process = self._started.pop(name)
        process.kill()
        process.wait(timeout=5)

    def run(self, *command: str, party: str, cwd: Path | None = None, attempts: int = 1) -> str:
        """Run a command to its end and return what it wrote to stdout."""
        done = subprocess.run(
            command,
            cwd=cwd or self.home(party),
            env=self._environment(party),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with self._log(party).open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode and attempts > 1:
            return self.run(*command, party=party, cwd=cwd, attempts=attempts - 1)
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def flwr(
        self, *command: str, party: str, cwd: Path | None = None, attempts: int = 1
    ) -> dict[str, Any]:
        """Run a `flwr` command and return its answer."""
        text = self.run(
            "flwr", *command, "--format", "json", party=party, cwd=cwd, attempts=attempts
        )
        answer: dict[str, Any] = json.loads(text)
        return answer

    def wait_for_port(self, port: int, *, seconds: float = 90) -> None:
        """Wait until something listens on the port of this machine."""

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.wait(listens, f"port {port}", seconds)

    def wait_for_run(self, run_id: str, superlink: str, *, party: str, seconds: float) -> None:
        """Wait until a run has finished; it must have completed."""
        run: dict[str, str] = {}

        def finished() -> bool:
            answer = self.flwr("list", superlink, "--run-id", run_id, party=party)
            run.update(answer["runs"][0])
            return run["status"].startswith("finished")

        self.wait(finished, f"run {run_id}", seconds, poll_s=4.0)
        assert run["status"] == "finished:completed", run["status-details"]

    def end(self) -> None:
        """End all processes by pid: ask first, then insist."""
        for number, seconds in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 15.0)):
            for pid in self._alive():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            limit = time.monotonic() + seconds
            while self._alive() and time.monotonic() < limit:
                time.sleep(0.2)
        for process in self._started.values():
            process.wait(timeout=5)
        assert not self._alive(), "processes are left"

    def show_logs(self) -> None:
        """Print the end of every log; pytest shows it if the test has failed."""
        for path in sorted(self.folder.rglob("*.log")):
            if "session_" not in str(path):  # Ray keeps dozens
                lines = path.read_text(errors="replace").splitlines()
                print(f"--- {path.name}", *lines[-LAST_LINES:], sep="\n")

    def _alive(self) -> set[int]:
        """Return the pids of all running processes whose FLWR_HOME is in this folder."""
        alive = {p.pid for p in self._started.values() if p.poll() is None}
        mark = f"FLWR_HOME={self.folder}/".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # gone, or another user's
                if any(entry.startswith(mark) for entry in path.read_bytes().split(b"\0")):
                    alive.add(int(path.parent.name))
        return alive

    def wait(
        self, there: Callable[[], bool], what: str, seconds: float, *, poll_s: float = 0.2
    ) -> None:
        """Wait until something is the case; nothing that was started may end meanwhile."""
        limit = time.monotonic() + seconds
        while not there():
            for name, process in self._started.items():
                assert process.poll() is None, f"{name} ended with {process.returncode}"
            assert time.monotonic() < limit, f"{what}: not there after {seconds:g} s"
            time.sleep(poll_s)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _environment(self, party: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return inherited | {
            "FLWR_HOME": str(self.home(party)),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": self._simulation_port,
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }


def arguments(settings: Settings) -> str:
    """Return settings as Flower's command line takes them: no blanks around the equals sign."""
    return " ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())


@pytest.fixture
def flower() -> Iterator[Flower]:
    # The folder's path is short because Ray puts sockets below it, whose paths are limited.
    with tempfile.TemporaryDirectory(prefix="ward-", ignore_cleanup_errors=True) as folder:
        commands = Flower(Path(folder).resolve())
        try:
            yield commands
        finally:
            commands.end()
            commands.show_logs()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the repository as a user has it: tracked files and new ones."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    copy = tmp_path / "wardround"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy
