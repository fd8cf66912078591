"""A node's folder as its service uses it, and what must be right before anything is started.

It holds

    site.toml, ca.crt, node.key      the hospital's; their names stand in site.toml
    state/status.json, node.log      what `wardround node status` and an engineer read
    state/start-executor.lock        held as long as a service runs the executor
    state/supernode/                 all that the SuperNode's process may write: its home, its lock,
                                     and the secret that it shares with the executor
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.site_file import SITE_FILE, STATE, SiteFile, read_site_file
from common.errors import SettingsError
from common.files import write_atomically
from common.key_files import KEY_BYTES

SUPERNODE, EXECUTOR = "supernode", "executor"
PARTS = (SUPERNODE, EXECUTOR)
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """The folder of a node and the rules that it holds.

    runtime: host:port where the SuperNode serves the executor; "": on loopback.
    """

    folder: Path
    site: SiteFile
    runtime: str = ""

    @property
    def state(self) -> Path:
        """The node's own folder."""
        return self.folder / STATE

    @property
    def own(self) -> Path:
        """The SuperNode's folder."""
        return self.state / SUPERNODE

    @property
    def secret(self) -> Path:
        """The file of the secret that SuperNode and executor share."""
        return self.own / "runtime.secret"

    @property
    def runtime_host(self) -> str:
        """Where the SuperNode listens for the executor."""
        return self.runtime.rpartition(":")[0] or LOOPBACK

    def path(self, name: str) -> Path:
        """Return a path of site.toml, relative to the folder."""
        return self.folder / name


def open_place(folder: Path, runtime: str = "") -> Place:
    """Return the node in a folder, once all that it needs to start is there.

    runtime: host:port between SuperNode and executor, where they do not share a loopback.

    Raises:
        SettingsError: site.toml, an address, a certificate or a key is missing or open to others.
    """
    place = Place(folder.resolve(), read_site_file(folder), runtime)
    coordinator, where = place.site.coordinator, str(place.folder / SITE_FILE)
    if not _is_address(coordinator.address):
        raise SettingsError(
            "coordinator.address is not host:port",
            where=where,
            remedy="write the address that the coordinator has given you",
        )
    if runtime and not _is_address(runtime):
        raise SettingsError(
            f"{runtime!r} is not host:port", where="--runtime", remedy="such as supernode:9094"
        )
    for setting, name in (("ca", coordinator.ca), ("node_key", coordinator.node_key)):
        if not place.path(name).is_file():
            raise SettingsError(
                f"there is no file {name}",
                where=f"{where}, coordinator.{setting}",
                remedy="put it there, or name it rightly",
            )
    key = place.path(coordinator.node_key)
    if key.stat().st_mode & 0o077:
        raise SettingsError(
            "the node's key can be read by others", where=str(key), remedy=f"chmod 600 {key}"
        )
    return place


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536


def prepare(place: Place, parts: tuple[str, ...]) -> None:
    """Make the folders and, where the SuperNode is started, a new runtime secret."""
    place.state.mkdir(mode=0o700, exist_ok=True)
    if SUPERNODE in parts:
        for folder in (place.own, place.own / "flwr", place.own / "empty"):
            folder.mkdir(mode=0o700, exist_ok=True)
        if EXECUTOR in parts or not place.secret.exists():
            write_atomically(place.secret, os.urandom(KEY_BYTES))  # mode 0600


def runtime_port(place: Place, parts: tuple[str, ...]) -> int:
    """Return the port between SuperNode and executor.

    Raises:
        SettingsError: each is started alone, and no port is agreed upon.
    """
    if place.runtime:
        return int(place.runtime.rpartition(":")[2])
    if port := place.site.service.runtime_port:
        return port
    if len(parts) < len(PARTS):
        raise SettingsError(
            "SuperNode and executor are started apart, and no port is agreed between them",
            where=f"{place.folder / SITE_FILE}, service.runtime_port",
            remedy="write a free port, such as 9094",
        )
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def lock_file(state: Path, part: str) -> Path:
    """Return the file that is locked while a part runs."""
    return state / (f"{SUPERNODE}/start.lock" if part == SUPERNODE else f"start-{part}.lock")


@contextmanager
def holding(state: Path, parts: tuple[str, ...]) -> Iterator[None]:
    """Keep everybody else from starting these parts on the folder.

    Raises:
        SettingsError: they run already.
    """
    held = []
    try:
        for part in parts:
            path = lock_file(state, part)
            held.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if not _locked(held[-1], fcntl.LOCK_EX, attempts=5):
                raise SettingsError(
                    f"a {part} runs on this folder already",
                    where=str(path),
                    remedy="`wardround node status` shows it; stop it first",
                )
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def runs(state: Path, part: str) -> bool:
    """Return whether a part runs on the folder."""
    try:
        descriptor = os.open(lock_file(state, part), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int, *, attempts: int = 1) -> bool:
    """Take a lock; somebody who only looks whether it is held has it for an instant."""
    for attempt in range(attempts):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            if attempt + 1 < attempts:
                time.sleep(0.1)
        else:
            return True
    return False
