"""Passing a request on to the SuperLink, part by part in both directions."""

import asyncio
import math
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

import httpx

from server.coordinator.folder import CoordinatorFolder
from server.coordinator.guard import Receive, Scope, Send, note, raw_path, refuse

_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_OURS = {b"host", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
CONNECTIONS, KEPT_S = 100, 3.0
"""To the SuperLink, and how long one is kept that nobody uses: it ends them itself after 5 s."""


class Disconnected(Exception):
    """The hospital has hung up before its request was complete."""


def to_superlink(folder: CoordinatorFolder) -> Callable[[], httpx.AsyncClient]:
    """Return what makes one connection to the SuperLink: TLS verified, no proxy, no redirects."""
    context = ssl.create_default_context(cafile=str(folder.ca))

    def connection() -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=f"https://{folder.settings.superlink_address}",
            verify=context,
            trust_env=False,
            timeout=httpx.Timeout(folder.settings.edge.limits.upstream_s, connect=5.0),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEPT_S),
        )
        client.headers.clear()  # nothing is asked for that the hospital has not asked for
        return client

    return connection


class Proxy:
    """An ASGI application that the SuperLink answers.

    Each connection is a client of its own: httpcore's pool looks at all of its connections, and at
    all that wait for one, with every request. The one that was used last is used first, so those
    that a crowd has left behind are ended one after the other.
    """

    def __init__(
        self,
        connection: Callable[[], httpx.AsyncClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._clock = connection, clock
        self._free: deque[tuple[float, httpx.AsyncClient]] = deque()
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, with the path exactly as it was sent."""
        async with self._places:
            client, whole = self._free.pop()[1] if self._free else self._connection(), False
            try:
                whole = await _pass_on(client, scope, receive, send)
            finally:
                if whole:
                    self._free.append((self._clock(), client))
                else:
                    await client.aclose()
            await self._end(before=self._clock() - KEPT_S)

    async def aclose(self) -> None:
        """End the connections that no request uses."""
        await self._end(before=math.inf)

    async def _end(self, *, before: float) -> None:
        while self._free and self._free[0][0] < before:
            await self._free.popleft()[1].aclose()


async def _pass_on(client: httpx.AsyncClient, scope: Scope, receive: Receive, send: Send) -> bool:
    """Pass a request on and the answer back; return whether both were whole."""
    request = client.build_request(
        scope["method"],
        raw_path(scope).decode("ascii"),
        headers=_kept(scope["headers"], also=_OURS),
        content=_parts(receive) if _has_body(scope) else None,
    )
    try:
        reply = await client.send(request, stream=True)
    except Disconnected:
        return False
    except httpx.TimeoutException:
        await refuse(scope, send, 504, "the SuperLink does not answer in time")
        return False
    except httpx.TransportError:
        await refuse(scope, send, 502, "the SuperLink cannot be reached")
        return False
    try:
        await _pass_back(reply, send)
    except httpx.TransportError:  # an answer that stays incomplete ends the connection
        note(scope, reply.status_code, "the SuperLink has broken off")
        return False
    finally:
        await reply.aclose()
    return True


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


async def _pass_back(reply: httpx.Response, send: Send) -> None:
    headers = _kept([(name.lower(), value) for name, value in reply.headers.raw], also=set())
    await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
    async for part in reply.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _kept(headers: list[tuple[bytes, bytes]], *, also: set[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers that are meant for the other end, not for this connection."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = _HOP_BY_HOP | also | named
    return [(name, value) for name, value in headers if name not in dropped]
