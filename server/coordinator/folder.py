"""A coordinator's folder: keys, certificates, settings, who has joined; mode 0700.

coordinator.toml   settings           ca.crt, ca.key           the authority, never remade
coordinator.key    signs studies      server.pem   key and certificate, renewed under it
superexec.secret   of the executor    registry.db              invitations, sites, rosters
study/             what hospitals get
"""

import ssl
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import tomli_w

from common.certificates import (
    Certified,
    days_left,
    fingerprint,
    make_authority,
    make_server_certificate,
)
from common.crypto import SigningKey
from common.errors import SettingsError
from common.files import write_atomically
from common.key_files import make_key, read_key
from server.coordinator.settings import (
    COORDINATOR_FILE,
    CoordinatorFile,
    make_settings,
    read_settings,
)

RENEW_DAYS = 30
_CA, _CA_KEY, _SERVER = "ca.crt", "ca.key", "server.pem"
_SIGNING_KEY, _SECRET = "coordinator.key", "superexec.secret"


class CoordinatorFolder(NamedTuple):
    """A folder and its settings."""

    path: Path
    settings: CoordinatorFile

    @property
    def ca(self) -> Path:
        """The authority's certificate, which everybody may see."""
        return self.path / _CA

    @property
    def server_certificate(self) -> Path:
        """Of the edge and of the SuperLink, with its key: one file, so that they always fit."""
        return self.path / _SERVER

    @property
    def executor_secret(self) -> Path:
        """What SuperLink and executor share, raw bytes."""
        return self.path / _SECRET

    @property
    def registry(self) -> Path:
        """Who was invited and who has joined."""
        return self.path / self.settings.paths.registry

    @property
    def study(self) -> Path:
        """The signed study that hospitals get; its seal is beside it."""
        return self.path / self.settings.paths.study

    @property
    def authority(self) -> str:
        """The fingerprint of the authority, 64 hex digits."""
        return fingerprint(self.ca.read_bytes())

    @property
    def signing_key(self) -> Path:
        """The secret half of the key that hospitals know."""
        return self.path / _SIGNING_KEY

    def signer(self) -> SigningKey:
        """Return the key that signs studies and receipts.

        Raises:
            SettingsError: it can be read by others, or is damaged.
        """
        path, remedy = self.signing_key, "restore it from a backup: hospitals know no other"
        return SigningKey(read_key(path, "the coordinator's key", SettingsError, remedy=remedy))


def init_folder(
    path: Path, name: str, hosts: Sequence[str], *, port: int, now: datetime
) -> CoordinatorFolder:
    """Make a coordinator's folder with all its keys; coordinator.toml comes last.

    Raises:
        SettingsError: there is one already, other files are there, or a setting is wrong.
    """
    asked = {"schema": 1, "name": name, "hosts": list(hosts), "edge": {"port": port}}
    settings = make_settings(asked, where="init")
    if path.exists() and any(path.iterdir()):
        raise SettingsError(
            "the folder is not empty, and no coordinator's keys are ever made twice",
            where=str(path),
            remedy="name an empty or a new folder",
        )
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    folder = CoordinatorFolder(path, settings)
    authority = make_authority(settings.name, now=now)
    write_atomically(path / _CA_KEY, authority.key)
    write_atomically(path / _CA, authority.certificate)
    _certify(folder, now)
    make_key(path / _SIGNING_KEY)
    make_key(path / _SECRET)
    folder.study.parent.mkdir()
    dump = settings.model_dump(mode="json", by_alias=True)
    write_atomically(path / COORDINATOR_FILE, tomli_w.dumps(dump).encode())
    return folder


def open_folder(path: Path) -> CoordinatorFolder:
    """Return the coordinator's folder at a path.

    Raises:
        SettingsError: it is none, or others may enter it.
    """
    folder = CoordinatorFolder(path.resolve(), read_settings(path))
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            "the coordinator's folder is open to others", where=str(path), remedy="chmod 700 it"
        )
    return folder


def renew_certificates(
    folder: CoordinatorFolder, *, now: datetime, within_days: float = RENEW_DAYS
) -> bool:
    """Make a new server certificate if the present one ends within so many days; say whether.

    One that is missing or damaged is made anew. The authority stays: hospitals notice nothing.
    """
    path = folder.server_certificate
    if _loads(path) and days_left(path.read_bytes(), now=now) >= within_days:
        return False
    _certify(folder, now)
    return True


def _loads(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except OSError:  # an SSLError is one too
        return False
    return True


def _certify(folder: CoordinatorFolder, now: datetime) -> None:
    authority = Certified(folder.ca.read_bytes(), (folder.path / _CA_KEY).read_bytes())
    settings = folder.settings
    server = make_server_certificate(authority, settings.name, settings.hosts, now=now)
    write_atomically(folder.server_certificate, server.certificate + server.key)
