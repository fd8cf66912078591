"""Which node keys Flower knows: brought into agreement with the registry over its Control API.

What has to be done follows from comparing both, so it may be done twice, at once, late, or after a
crash. The API has no authentication, which is why it is reached on loopback only.
"""

import hashlib
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import httpx
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListNodesResponse,
    ListRunsRequest,
    ListRunsResponse,
    RegisterNodeRequest,
    RegisterNodeResponse,
    StartRunRequest,
    StartRunResponse,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab

from common.certificates import flower_form
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import NodeEntry, open_book

TIMEOUT_S = 10.0
_GONE, _BUSY = "unregistered", {502, 503, 504}
_MEDIA = "application/protobuf"
_log = logging.getLogger("wardround.coordinator")


class KnownNode(NamedTuple):
    """A node that Flower knows. public: its key in Flower's bytes. status: Flower's word."""

    number: int
    public: bytes
    status: str


class Fleet(Protocol):
    """What is asked of a SuperLink."""

    def nodes(self) -> list[KnownNode]:
        """Return all nodes, those that are unregistered too."""

    def register(self, public: bytes, name: str) -> None:
        """Let a node in."""

    def unregister(self, number: int) -> None:
        """Turn a node away."""


class Encodes(Protocol):
    """A protobuf message."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:
        """Return its bytes."""


class SuperLinkDown(Exception):
    """The SuperLink does not answer."""


class SuperLinkRefuses(Exception):
    """The SuperLink answers with a no."""


class ControlApi:
    """Flower's Control API at one address, TLS verified, never through a proxy."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def nodes(self) -> list[KnownNode]:
        """Return all nodes, those that are unregistered too."""
        answer = ListNodesResponse()
        answer.ParseFromString(self._ask("list-nodes", ListNodesRequest()))
        return [KnownNode(n.node_id, n.public_key, n.status) for n in answer.nodes_info]

    def register(self, public: bytes, name: str) -> None:
        """Let a node in."""
        request = RegisterNodeRequest(public_key=public, name=name)
        RegisterNodeResponse().ParseFromString(self._ask("register-node", request))

    def unregister(self, number: int) -> None:
        """Turn a node away."""
        self._ask("unregister-node", UnregisterNodeRequest(node_id=number))

    def start_run(self, bundle: bytes, config: Mapping[str, str | int | float | bool]) -> int:
        """Start a run of the apps that the bundle names; return its id."""
        given = user_config_to_proto(dict(config))
        fab = Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle)
        answer = StartRunResponse()
        answer.ParseFromString(
            self._ask("start-run", StartRunRequest(fab=fab, override_config=given))
        )
        if not answer.HasField("run_id"):
            raise SuperLinkRefuses("start-run: no run")
        return answer.run_id

    def run_status(self, run: int) -> str:
        """Return Flower's word for a run, such as running or finished:completed; "" if unknown."""
        answer = ListRunsResponse()
        answer.ParseFromString(self._ask("list-runs", ListRunsRequest(run_id=run)))
        if run not in answer.run_dict:
            return ""
        status = answer.run_dict[run].status
        return ":".join(filter(None, (status.status, status.sub_status)))

    def stop_run(self, run: int) -> None:
        """End a run at once."""
        self._ask("stop-run", StopRunRequest(run_id=run))

    def _ask(self, what: str, request: Encodes) -> bytes:
        headers = {"content-type": _MEDIA, "accept": _MEDIA}
        content = request.SerializeToString(deterministic=True)
        try:
            reply = self._client.post(f"/v1/control/{what}", content=content, headers=headers)
        except httpx.HTTPError as error:
            raise SuperLinkDown(type(error).__name__) from error
        if reply.status_code in _BUSY:
            raise SuperLinkDown(str(reply.status_code))
        if not reply.is_success:
            raise SuperLinkRefuses(f"{what}: {reply.status_code}")
        return reply.content


@contextmanager
def control_api(folder: CoordinatorFolder) -> Iterator[ControlApi]:
    """Open the Control API of the SuperLink that the settings name."""
    context = ssl.create_default_context(cafile=str(folder.ca))
    base = f"https://{folder.settings.superlink_address}"
    with httpx.Client(base_url=base, verify=context, timeout=TIMEOUT_S, trust_env=False) as client:
        yield ControlApi(client)


def register_pending(
    folder: CoordinatorFolder, fleet: Fleet | None = None, *, force: bool = False
) -> bool:
    """Bring Flower's nodes into agreement with the registry; say whether they agree now.

    If the SuperLink is down nothing is lost: call this again when it is up. fleet: the SuperLink,
    if another than the settings name. force: compare even if nothing is known to differ, such as
    when the SuperLink has started.
    """
    if not force and not pending(folder):
        return True
    try:
        if fleet is not None:
            reconcile(folder, fleet)
        else:
            with control_api(folder) as own:
                reconcile(folder, own)
    except SuperLinkDown:
        return False
    return not pending(folder)


def pending(folder: CoordinatorFolder) -> list[NodeEntry]:
    """Return the node keys of which Flower has to be told something."""
    with open_book(folder.registry) as book:
        return [node for node in book.nodes() if node.registered == (node.until is not None)]


def site_nodes(folder: CoordinatorFolder, fleet: Fleet) -> dict[str, int]:
    """Return Flower's node id of each member, by the key that it has enrolled.

    Raises:
        SuperLinkDown: the SuperLink does not answer.
    """
    known = {key: node.number for key, node in _members(fleet).items()}
    with open_book(folder.registry) as book:
        keys = {entry.site: flower_form(entry.public) for entry in book.nodes() if not entry.until}
    return {site: known[key] for site, key in keys.items() if key in known}


def reconcile(folder: CoordinatorFolder, fleet: Fleet) -> None:
    """Register the node keys in use and unregister those that no longer are.

    Nodes whose keys the registry has never seen are left alone.

    Raises:
        SuperLinkDown: the SuperLink does not answer.
    """
    known = _members(fleet)
    with open_book(folder.registry) as book:
        entries = book.nodes()
    for entry in entries:
        wanted, key = entry.until is None, flower_form(entry.public)
        try:
            _agree(fleet, known.get(key), entry)
        except SuperLinkRefuses as error:
            if (key in _members(fleet)) != wanted:  # else another process was quicker
                _log.error("Flower refuses a node key of %s (%s): rotate it", entry.site, error)
                continue
        if entry.registered != wanted:
            with open_book(folder.registry) as book:
                book.mark_registered(entry.public, registered=wanted)


def _members(fleet: Fleet) -> dict[bytes, KnownNode]:
    return {node.public: node for node in fleet.nodes() if node.status != _GONE}


def _agree(fleet: Fleet, found: KnownNode | None, entry: NodeEntry) -> None:
    if entry.until is None and not found:
        fleet.register(flower_form(entry.public), entry.site)
    elif found and entry.until is not None:
        fleet.unregister(found.number)
