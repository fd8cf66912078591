"""An edge that is served with TLS, what stands in the SuperLink's place, and bare lines to it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx

from server.coordinator.folder import CoordinatorFolder
from server.coordinator.serving import EdgeServer
from tests.coordinating import serving, upstream, with_limits

FLEET = "/v1/fleet/pull-object"
CHUNKED = f"POST {FLEET} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".encode()
MEBI = 1024**2


class Echo:
    """In the SuperLink's place: answers with the parts that came; notes paths and headers."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.longest = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["raw_path"])
        self.headers, parts, more = dict(scope["headers"]), list[bytes](), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message["body"])
            more = message.get("more_body", False)
        self.longest = max(map(len, parts))
        headers = [(b"flwr-thing", b"back"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 207, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def edge(folder: CoordinatorFolder, app: Any = None) -> Iterator[EdgeServer]:
    """Serve the edge of a folder, and `app` where it looks for the SuperLink."""
    server = EdgeServer(folder)
    if app is None:
        with serving(server):
            yield server
    else:
        with serving(upstream(folder, app)), serving(server):
            yield server


def impatient(folder: CoordinatorFolder) -> CoordinatorFolder:
    """Return the folder with an edge that waits a second at most for what a request lacks."""
    return with_limits(folder, head_s=1.0, body_s=1.0, idle_s=30)


def trust(folder: CoordinatorFolder) -> ssl.SSLContext:
    """Return a context that trusts the folder's authority alone."""
    return ssl.create_default_context(cafile=str(folder.ca))


def url(folder: CoordinatorFolder, path: str) -> str:
    return f"https://localhost:{folder.settings.edge.port}{path}"


def post(folder: CoordinatorFolder, path: str = FLEET, **more: Any) -> httpx.Response:
    with httpx.Client(verify=trust(folder), trust_env=False, timeout=20) as client:
        return client.post(url(folder, path), **more)


@contextmanager
def line(folder: CoordinatorFolder) -> Iterator[ssl.SSLSocket]:
    """Open a bare TLS connection to the edge."""
    raw = socket.create_connection(("127.0.0.1", folder.settings.edge.port), timeout=15)
    with closing(trust(folder).wrap_socket(raw, server_hostname="localhost")) as tls:
        yield tls


def rest(tls: ssl.SSLSocket) -> bytes:
    """Return all that still comes, until the other side ends; one that does not is an error."""
    found = b""
    try:
        while part := tls.recv(65_536):
            found += part
    except TimeoutError:
        raise
    except OSError:
        return found
    return found


def until(tls: ssl.SSLSocket, words: bytes) -> bool:
    """Read until these words have come; say whether they have."""
    found = b""
    while words not in found and (part := tls.recv(65_536)):
        found += part
    return words in found


def sent_on(tls: ssl.SSLSocket, part: bytes) -> bool:
    try:
        tls.sendall(part)
    except OSError:
        return False
    return True


HEADS = [b"", b"POST /enrol HTTP/1.1\r\n", b"POST /enrol HTTP/1.1\r\nhost: a\r\nx: "]


def silent(folder: CoordinatorFolder) -> socket.socket:
    """Connect and never shake hands."""
    return socket.create_connection(("127.0.0.1", folder.settings.edge.port), timeout=15)
