"""A child process of the service: started, listened to, started again, ended by its pid."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import IO

from common.processes.events import Event, read_events

PACKAGES = str(Path(__file__).parents[2])
ALLOWED = ("PATH", "LANG", "LC_ALL", "TZ", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "PYTHONPATH": PACKAGES,
    "PYTHONUNBUFFERED": "1",
}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
MAX_SHOWN, FIRST_PAUSE_S, LONGEST_PAUSE_S = 400, 1.0, 30.0
Hear = Callable[[str, Event], None]


class Child:
    """One process and its successors.

    name: its part. heard: when it has last said something, on the monotonic clock. hear: called
    with the part and an event, from another thread. listened: whether its stderr may be read; the
    executor's is not, for a library's texts may quote a patient.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str],
        cwd: Path,
        hear: Hear,
        *,
        listened: bool,
    ) -> None:
        self.name, self._command, self._environment = name, command, environment
        self._cwd, self._hear, self._listened = cwd, hear, listened
        self._process: subprocess.Popen[bytes] | None = None
        self._pause, self._due, self.starts, self.heard = FIRST_PAUSE_S, 0.0, 0, 0.0

    @property
    def pid(self) -> int:
        """Its process id, or 0."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it; from the main thread, whose end the kernel takes for its parent's."""
        self.starts, self.heard = self.starts + 1, time.monotonic()
        process = subprocess.Popen(  # noqa: S603 (this interpreter, our own modules)
            self._command,
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._listened else subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process = process
        if process.stdout:
            Thread(target=self._listen, args=(process.stdout,), daemon=True).start()
        if process.stderr:
            Thread(target=self._copy, args=(process.stderr,), daemon=True).start()

    def ended(self) -> int | None:
        """Return with what it has ended, once; none while it runs or a successor is due."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._close()
        self._due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        return code

    def mend(self) -> None:
        """Start a successor if one is due."""
        if self._process is None and time.monotonic() >= self._due:
            self.start()

    def hurry(self, seconds: float) -> None:
        """Have a successor that is due later start within `seconds`."""
        self._due = min(self._due, time.monotonic() + seconds)

    def well(self) -> None:
        """Take its next end for a first one: it has done its work meanwhile."""
        self._pause = FIRST_PAUSE_S

    def ask(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it (SIGKILL), unless it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for event in read_events(stream):
                self._hear(self.name, event)

    def _copy(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_SHOWN * 4):
                text = COLOUR.sub("", line.decode(errors="replace")).strip()
                if text.partition(":")[2].strip():
                    self._hear(self.name, {"event": "line", "text": text[:MAX_SHOWN]})
