"""`wardround coordinator start`: the SuperLink, the ServerApp's runner and the edge, kept running.

Three processes, of which the network sees the edge alone. The SuperLink keeps its messages in
SQLite, so it may be killed and started again in the middle of a round; the runner starts our
ServerApp, once a run.
"""

import fcntl
import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag

from common.errors import SettingsError
from common.processes.child import ALLOWED, QUIET, Child, Hear
from common.processes.events import Event
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder, renew_certificates

GRACE_S, LISTEN_S = 6.0, 0.2
SUPERLINK, SUPEREXEC, EDGE = "superlink", "superexec", "edge"
log = logging.getLogger("wardround.coordinator")


def serve(folder: CoordinatorFolder) -> None:
    """Run the coordinator's processes until SIGTERM or SIGINT.

    Raises:
        SettingsError: they run already.
    """
    with holding(folder.path):
        renew_certificates(folder, now=datetime.now(UTC))
        service = Service(folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stopping.set())
        service.run()


class Service:
    """The parts that run."""

    def __init__(self, folder: CoordinatorFolder) -> None:
        self.stopping, self._folder = Flag(), folder
        self._heard: queue.Queue[tuple[str, Event]] = queue.Queue(1000)
        self._children = [make_child(folder, part, self._hear) for part in PARTS]
        self._agreed, self._certified = False, self._certificate_age()

    def run(self) -> None:
        """Start, supervise, wind down; the children are gone when this returns or raises."""
        try:
            while not self.stopping.is_set():
                for each in self._children:
                    each.mend()
                    if (code := each.ended()) is not None:
                        log.error("%s ended (%d) and is started again", each.name, code)
                        self._agreed = self._agreed and each.name != SUPERLINK
                self._follow_certificate()
                self._listen()
                if not self._agreed:  # a SuperLink that has lost its database knows no node
                    self._agreed = register_pending(self._folder, force=True)
        finally:
            self._wind_down()

    def _follow_certificate(self) -> None:
        """Start the SuperLink anew when the edge has renewed its certificate: Flower never looks.

        With the old one it would be trusted by nobody once that has ended.
        """
        if (now := self._certificate_age()) != self._certified:
            self._certified = now
            log.info("the certificate was renewed; superlink is started again")
            next(each for each in self._children if each.name == SUPERLINK).kill()

    def _certificate_age(self) -> int:
        return self._folder.server_certificate.stat().st_mtime_ns

    def _hear(self, part: str, event: Event) -> None:
        self._heard.put((part, event))

    def _listen(self) -> None:
        """Pass on what the children print, for a while."""
        end = time.monotonic() + LISTEN_S
        while (left := end - time.monotonic()) > 0:
            try:
                part, event = self._heard.get(timeout=left)
            except queue.Empty:
                return
            if event["event"] == "line":
                log.info("%s: %s", part, event["text"])

    def _wind_down(self) -> None:
        for each in reversed(self._children):
            each.ask()
        end = time.monotonic() + GRACE_S
        while any(each.pid and each.ended() is None for each in self._children):
            if time.monotonic() > end:
                break
            self._listen()
        for each in self._children:
            each.kill()


def make_child(folder: CoordinatorFolder, part: str, hear: Hear) -> Child:
    """Return a part's process, with a clean environment and a folder of its own."""
    home = folder.path / "flower" / part
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "server.coordinator.flower_process", part]
    kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"}
    own = {"HOME": str(home), "FLWR_HOME": str(home)}
    threads = {"OMP_NUM_THREADS": "1"}
    return Child(
        part,
        command + PARTS[part](folder),
        kept | QUIET | path | own | threads,
        home,
        hear,
        listened=True,
    )


def _superlink(folder: CoordinatorFolder) -> list[str]:
    told = folder.settings.superlink
    return [
        *("--host", told.host, "--port", str(told.port)),
        *("--ssl-ca-certfile", str(folder.ca)),
        *("--ssl-certfile", str(folder.server_certificate)),
        *("--ssl-keyfile", str(folder.server_certificate)),
        "--enable-supernode-auth",
        *("--database", str(folder.path / folder.settings.paths.superlink)),
        *("--isolation", "process"),
        *("--superexec-auth-secret-file", str(folder.executor_secret)),
        "--disable-runtime-dependency-installation",
    ]


def _superexec(folder: CoordinatorFolder) -> list[str]:
    return [
        *("--runtime-api-address", folder.settings.superlink_address),
        *("--root-certificates", str(folder.ca)),
        *("--superexec-auth-secret-file", str(folder.executor_secret)),
        *("--executor", "subprocess"),
    ]


def _edge(folder: CoordinatorFolder) -> list[str]:
    return [str(folder.path)]


PARTS = {SUPERLINK: _superlink, SUPEREXEC: _superexec, EDGE: _edge}


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Keep everybody else from starting a coordinator on the folder.

    Raises:
        SettingsError: one runs already.
    """
    descriptor = os.open(path / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                "a coordinator runs on this folder already",
                where=str(path),
                remedy="stop it first (SIGTERM, or Ctrl-C in its window)",
            ) from None
        yield
    finally:
        os.close(descriptor)


def runs(path: Path) -> bool:
    """Return whether a coordinator runs on the folder."""
    try:
        with holding(path):
            return False
    except SettingsError:
        return True
