"""Passing a request on to the SuperLink, part by part in both directions."""

import asyncio
import ssl
from collections.abc import AsyncIterator

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


def superlink_client(folder: CoordinatorFolder) -> httpx.AsyncClient:
    """Return the connections to the SuperLink: TLS verified, through no proxy, no redirects.

    All are kept: of a pool that keeps fewer than it holds, httpcore ends one after each request
    once there are more, and shakes hands anew for the next.
    """
    context = ssl.create_default_context(cafile=str(folder.ca))
    client = httpx.AsyncClient(
        base_url=f"https://{folder.settings.superlink_address}",
        verify=context,
        trust_env=False,
        timeout=httpx.Timeout(folder.settings.edge.limits.upstream_s, connect=5.0),
        limits=httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_S,
        ),
    )
    client.headers.clear()  # nothing is asked for that the hospital has not asked for
    return client


class Proxy:
    """An ASGI application that the SuperLink answers.

    Requests wait here for a connection, not in httpcore's pool, which holds each that waits against
    each connection whenever one comes or goes.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client, self._places = client, asyncio.Semaphore(CONNECTIONS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, with the path exactly as it was sent."""
        async with self._places:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._client.build_request(
            scope["method"],
            raw_path(scope).decode("ascii"),
            headers=_kept(scope["headers"], also=_OURS),
            content=_parts(receive) if _has_body(scope) else None,
        )
        try:
            reply = await self._client.send(request, stream=True)
        except Disconnected:
            return
        except httpx.TimeoutException:
            await refuse(scope, send, 504, "the SuperLink does not answer in time")
            return
        except httpx.TransportError:
            await refuse(scope, send, 502, "the SuperLink cannot be reached")
            return
        try:
            await _pass_back(reply, send)
        except httpx.TransportError:  # an answer that stays incomplete ends the connection
            note(scope, reply.status_code, "the SuperLink has broken off")
        finally:
            await reply.aclose()


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
