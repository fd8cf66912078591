"""What stands before all that the edge does: who asks how often, how much is sent, how slowly.

Plain ASGI, so that bodies pass through part by part and are never held as a whole.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from server.coordinator.buckets import Buckets
from server.coordinator.settings import EdgeLimits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("wardround.edge")
_SHOWN, _KNOWN_SHARE = 120, 7 / 8


class TooLarge(Exception):
    """A body is longer than it may be."""


class Guard:
    """An ASGI application behind limits.

    A request that Flower has answered well was signed by a node that it knows, and counts for an
    eighth: a hospital in the midst of a round asks more often than any stranger may.

    is_fleet: whether a scope is one of Flower's. small_body: bytes of a body that is not. close:
    what to await at the end.
    """

    def __init__(
        self,
        app: App,
        limits: EdgeLimits,
        *,
        is_fleet: Callable[[Scope], bool],
        small_body: int,
        close: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._limits, self._is_fleet = app, limits, is_fleet
        self._close = close
        self._small, keep = small_body, limits.addresses
        self._fleet = Buckets(limits.rate, limits.burst, keep=keep, clock=clock)
        self._other = Buckets(limits.enrol_rate, limits.enrol_burst, keep=keep, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request within the limits."""
        if scope["type"] != "http":
            return
        fleet, address = self._is_fleet(scope), (scope.get("client") or ("",))[0]
        if not (self._fleet if fleet else self._other).take(address):
            # Flower's client tries again after a 503 and gives up after a 429.
            await refuse(scope, send, 503 if fleet else 429, "too many requests")
            return
        limit = self._limits.max_body if fleet else self._small
        if (declared := _declared(scope)) is None or declared > limit:
            await refuse(scope, send, 413 if declared else 400, "body too large, or of no length")
            return
        reply = _Reply(send, self._limits.body_s)
        try:
            async with asyncio.timeout(self._limits.request_s):
                await self._app(scope, _Body(receive, limit, self._limits.body_s), reply)
        except (TooLarge, TimeoutError) as error:
            await _end(scope, reply, send, large=isinstance(error, TooLarge))
            return
        if fleet and 200 <= reply.status < 300:
            self._fleet.give_back(address, _KNOWN_SHARE)

    async def aclose(self) -> None:
        """Close what the application holds open."""
        if self._close:
            await self._close()


class _Body:
    """A request's body, of a bounded length and with bounded pauses."""

    def __init__(self, receive: Receive, limit: int, pause_s: float) -> None:
        self._receive, self._left, self._pause_s, self._whole = receive, limit, pause_s, False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._whole:  # what comes after the body is the news that the other side is gone
            return await self._receive()
        async with asyncio.timeout(self._pause_s):
            message = await self._receive()
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise TooLarge
        return message


class _Reply:
    """The way back; status: what was sent, after which no other can be, or 0."""

    def __init__(self, send: Send, pause_s: float) -> None:
        self._send, self._pause_s, self.status = send, pause_s, 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
        async with asyncio.timeout(self._pause_s):
            await self._send(message)


async def _end(scope: Scope, reply: _Reply, send: Send, *, large: bool) -> None:
    """End a request that is too large or too slow; one that is half answered stays incomplete."""
    status, why = (413, "body too large") if large else (408, "too slow")
    if reply.status:
        note(scope, status, why)
    else:
        await refuse(scope, send, status, why)


async def refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    """Answer with a status and its reason, note it, and end the connection."""
    note(scope, status, why)
    text = (why + "\n").encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    if status in (429, 503):
        headers.append((b"retry-after", b"2"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def note(scope: Scope, status: int, why: str) -> None:
    """Write down what was refused: who asked for what; no header, no body, no query."""
    path = ascii(raw_path(scope)[:_SHOWN].decode("latin-1"))
    address = (scope.get("client") or ("?",))[0]
    _log.warning("%s %s %s %s: %s", address, str(scope["method"])[:16], path, status, why)


def raw_path(scope: Scope) -> bytes:
    """Return the path as it was sent, nothing decoded."""
    return bytes(scope.get("raw_path") or b"")


def _declared(scope: Scope) -> int | None:
    """Return the length that a request declares, 0 if none is; None if it is not one number.

    A length beside chunks is refused too: two servers could read such a request in two ways.
    """
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    lengths = {value for name, value in scope["headers"] if name == b"content-length"}
    if not lengths:
        return 0
    value = lengths.pop()
    return (
        int(value) if not lengths and not chunked and value.isdigit() and len(value) < 19 else None
    )
