"""Requests to an edge in this process, and what of them reaches the SuperLink's place."""

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import httpx

from common.enrolment import Complaint
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.guard import App, Scope
from server.coordinator.service import Service
from tests.coordinating import NOON

TRICKS = (
    b"/v1/fleet/../control/list-nodes",
    b"/v1/fleet/%2e%2e/control/list-nodes",
    b"/v1/fleet/..%2fcontrol/list-nodes",
    b"/v1/fleet/..;/control/list-nodes",
    b"/v1/fleet/..%5ccontrol/list-nodes",
    b"/v1/fleet/..\\control\\list-nodes",
    b"/v1/fleet/%252e%252e/control/list-nodes",
    b"/v1/fleet/.%2e/control/list-nodes",
    b"//v1/control/list-nodes",
    b"/v1//control/list-nodes",
    b"/v1/./control/list-nodes",
    b"/V1/control/list-nodes",
    b"/v1/CONTROL/list-nodes",
    b"/v1%2fcontrol%2flist-nodes",
    b"%2fv1%2fcontrol%2flist-nodes",
    b"/%76%31/control/list-nodes",
    b"/v1/control/list-nodes",
    b"/v1/fleet/pull-messages/../../control/list-nodes",
    b"/v1/fleet/pull-messages%00",
    b"/v1/fleet/pull-messages;x=1",
    b"/v1/fleet/pull-messages/",
    b"/v1/fleet//pull-messages",
    b"/v1/fleet/%70ull-messages",
    b"/V1/FLEET/pull-messages",
    b"/v1/fleet/",
    b"/v1/fleet",
    b"/v1/fleetx/pull-messages",
    b"/enrol/../v1/control/list-nodes",
    b"/enrol/",
    b"/enrol//ca",
    b"/health/",
    b"/health/../v1/control/list-nodes",
    b"https://localhost/v1/control/list-nodes",
    b"https://localhost/v1/fleet/../control/list-nodes",
    b"http://127.0.0.1:8000/v1/control/list-nodes",
    b"*",
    b"",
    b"/",
)


class Recorder:
    """What stands in the SuperLink's place and notes what reaches it."""

    def __init__(self, status: int = 200) -> None:
        self.seen: list[bytes] = []
        self._status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["raw_path"])
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


def scope_of(
    path: bytes,
    *,
    method: str = "POST",
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Scope:
    """Return a request whose path is exactly these bytes."""
    return {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
        "client": ("192.0.2.1", 1),
        "http_version": "1.1",
    }


def ask(app: App, path: bytes, **how: Any) -> int:
    """Return the status of the answer to such a request, which has no body."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def once() -> None:
        await app(scope_of(path, **how), receive, send)

    asyncio.run(once())
    return int(sent[0]["status"])


def client(folder: CoordinatorFolder, *, status: int = 200, **limits: float) -> httpx.AsyncClient:
    """Return a client of the folder's edge; status: of Flower's answers. limits: of its own."""
    changed = folder
    if limits:
        edge = folder.settings.edge
        edge = edge.model_copy(update={"limits": edge.limits.model_copy(update=limits)})
        changed = folder._replace(settings=folder.settings.model_copy(update={"edge": edge}))
    service = Service(changed, registrar=lambda _: True, clock=lambda: NOON)
    app = make_edge(changed, fleet=Recorder(status), ours=service.app())
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="https://localhost")


def call(folder: CoordinatorFolder, method: str, path: str, **more: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        async with client(folder) as http:
            return await http.request(method, path, **more)

    return asyncio.run(once())


def complaint(reply: httpx.Response) -> str:
    """Return the code of the complaint that a reply is."""
    assert reply.status_code == 403
    return Complaint.read(reply.text).code
