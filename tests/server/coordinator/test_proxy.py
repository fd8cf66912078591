"""To the SuperLink there are so many connections, which stay; nobody waits inside of httpcore."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from uvicorn import Config

from server.coordinator.proxy import CONNECTIONS, Proxy, superlink_client
from tests.coordinating import make_folder


def test_a_connection_stays_until_shortly_before_the_superlink_would_end_it(
    tmp_path: Path,
) -> None:
    client = superlink_client(make_folder(tmp_path))
    pool = client._transport._pool  # type: ignore[attr-defined]
    assert pool._max_keepalive_connections >= pool._max_connections == CONNECTIONS
    assert pool._keepalive_expiry < Config("superlink").timeout_keep_alive


class Crowd(httpx.AsyncBaseTransport):
    """In the SuperLink's place: answers when as many are in as can be, or all that are left."""

    def __init__(self, expected: int) -> None:
        self._left, self._in, self.most, self._full = expected, 0, 0, asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._in += 1
        self.most = max(self.most, self._in)
        if self._in == min(CONNECTIONS, self._left):
            self._full.set()
        await self._full.wait()
        self._in, self._left = self._in - 1, self._left - 1
        return httpx.Response(200, stream=httpx.ByteStream(b""))


def test_who_finds_no_connection_free_waits_and_is_served() -> None:
    asked, statuses = CONNECTIONS + 50, list[int]()

    async def ask() -> int:
        crowd = Crowd(asked)
        proxy = Proxy(httpx.AsyncClient(transport=crowd, base_url="http://link"))
        scope = {"method": "GET", "raw_path": b"/v1/fleet/a", "headers": []}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> dict[str, Any]:
            raise AssertionError("there is no body")

        await asyncio.gather(*(proxy(scope, receive, send) for _ in range(asked)))
        return crowd.most

    assert asyncio.run(ask()) == CONNECTIONS
    assert statuses == [200] * asked
