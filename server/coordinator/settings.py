"""coordinator.toml: all that a coordinator may set, each with its range, in one place."""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from common.errors import SettingsError
from common.study_sections import Part, wrong_setting

COORDINATOR_FILE = "coordinator.toml"
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def _plain(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name is of printable characters, without blanks around it")
    return name


def _host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if len(host) > 253 or not all(_LABEL.fullmatch(part) for part in host.split(".")):
            raise ValueError("a host is a DNS name or an IP address, without a port") from None
        return host


PlainName = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_plain)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Inside = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_./-]{0,199}$")]


class EdgeLimits(Part):
    """What the edge bears.

    rate, burst: requests a second to the fleet from one address (IPv6: one /64), and how many at
    once; enrol_*: the same of all other requests. addresses: so many are remembered. max_body:
    bytes of one request to the fleet. connections: at the same time, of all and of one address.
    head_s: until a request's head is complete. body_s: between two parts of a body, either way.
    request_s: for a whole request. idle_s: a connection without requests. upstream_s: for the
    SuperLink's next part.
    """

    rate: float = Field(default=50.0, gt=0, le=100_000)
    burst: int = Field(default=200, ge=1, le=1_000_000)
    enrol_rate: float = Field(default=0.5, gt=0, le=1000)
    enrol_burst: int = Field(default=30, ge=1, le=10_000)
    addresses: int = Field(default=10_000, ge=100, le=1_000_000)
    max_body: int = Field(default=16 * 1024**2, ge=1024**2, le=1024**3)
    connections: int = Field(default=512, ge=4, le=100_000)
    connections_per_address: int = Field(default=64, ge=1, le=100_000)
    head_s: Seconds = 20.0
    body_s: Seconds = 20.0
    request_s: Seconds = 600.0
    idle_s: int = Field(default=15, ge=1, le=300)
    upstream_s: Seconds = 120.0


class EdgeSettings(Part):
    """The port that the network sees. bind: the address to listen at."""

    port: Port = 8443
    bind: Host = "0.0.0.0"  # noqa: S104 - it is the door
    limits: EdgeLimits = EdgeLimits()


class SuperLinkSettings(Part):
    """Where Flower's SuperLink is, under a name of the server certificate; never the network."""

    host: Host = "127.0.0.1"
    port: Port = 8000


class CoordinatorPaths(Part):
    """Where things are in the folder. study: what hospitals get; superlink: Flower's database."""

    study: Inside = "study/study.toml"
    registry: Inside = "registry.db"
    superlink: Inside = "superlink.db"


class CoordinatorFile(Part):
    """All of coordinator.toml. name: of the federation. hosts: the edge's names, the first in use.

    roster_days: how long the keys of a drafted roster hold.
    """

    version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    name: PlainName
    hosts: tuple[Host, ...] = Field(min_length=1, max_length=20)
    roster_days: int = Field(default=365, ge=1, le=3650)
    edge: EdgeSettings = EdgeSettings()
    superlink: SuperLinkSettings = SuperLinkSettings()
    paths: CoordinatorPaths = CoordinatorPaths()

    @property
    def address(self) -> str:
        """Where hospitals find the edge, host:port."""
        return _address(self.hosts[0], self.edge.port)

    @property
    def superlink_address(self) -> str:
        """Where the edge finds the SuperLink, host:port."""
        return _address(self.superlink.host, self.superlink.port)


def make_settings(settings: dict[str, object], *, where: str) -> CoordinatorFile:
    """Return nested settings, checked.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    try:
        return CoordinatorFile.model_validate(settings)
    except ValidationError as error:
        remedy = "mend this setting; docs/enrolment.md lists names and ranges"
        raise wrong_setting(error, whole=COORDINATOR_FILE, where=where, remedy=remedy) from None


def read_settings(folder: Path) -> CoordinatorFile:
    """Return coordinator.toml of a folder.

    Raises:
        SettingsError: it is missing or no TOML, or a setting is unknown or out of range.
    """
    path = folder / COORDINATOR_FILE
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not valid TOML"
        raise SettingsError(
            f"this is no coordinator's folder: {why}",
            where=str(path),
            remedy="wardround coordinator init makes one",
        ) from None
    return make_settings(settings, where=str(path))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
