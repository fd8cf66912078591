"""So many connections to the SuperLink: the last used is used first, a broken one never again."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from uvicorn import Config

from server.coordinator.proxy import CONNECTIONS, KEPT_S, Proxy, to_superlink
from tests.coordinating import make_folder


def test_a_connection_stays_until_shortly_before_the_superlink_would_end_it(
    tmp_path: Path,
) -> None:
    client = to_superlink(make_folder(tmp_path))()
    pool = client._transport._pool  # type: ignore[attr-defined]
    assert pool._max_keepalive_connections >= pool._max_connections == 1
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


SCOPE = {"method": "GET", "raw_path": b"/v1/fleet/a", "headers": []}


async def no_body() -> dict[str, Any]:
    raise AssertionError("there is no body")


class Statuses(list[int]):
    """What was answered."""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.append(message["status"])


def test_who_finds_no_connection_free_waits_and_is_served() -> None:
    asked, statuses = CONNECTIONS + 50, Statuses()

    async def ask() -> int:
        crowd = Crowd(asked)
        proxy = Proxy(lambda: httpx.AsyncClient(transport=crowd, base_url="http://link"))
        await asyncio.gather(*(proxy(SCOPE, no_body, statuses.send) for _ in range(asked)))
        return crowd.most

    assert asyncio.run(ask()) == CONNECTIONS
    assert statuses == [200] * asked


class Once(httpx.AsyncBaseTransport):
    """A connection that answers, or breaks; closed: whether it was ended."""

    def __init__(self, *, broken: bool) -> None:
        self._broken, self.asked, self.closed = broken, 0, False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self._broken:
            raise httpx.ReadError("broken off")
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async def aclose(self) -> None:
        self.closed = True


def test_a_connection_serves_again_unless_it_broke() -> None:
    statuses, lines = Statuses(), [Once(broken=True), Once(broken=False), Once(broken=False)]
    left = iter(lines)

    async def ask() -> None:
        proxy = Proxy(lambda: httpx.AsyncClient(transport=next(left), base_url="http://link"))
        for _ in range(3):
            await proxy(SCOPE, no_body, statuses.send)
        assert [line.closed for line in lines] == [True, False, False]
        await proxy.aclose()

    asyncio.run(ask())
    assert statuses == [502, 200, 200]
    assert [line.asked for line in lines] == [1, 2, 0]
    assert [line.closed for line in lines] == [True, True, False]


def test_a_connection_that_was_not_used_for_some_seconds_is_ended() -> None:
    now, lines, statuses = [0.0], [Once(broken=False) for _ in range(3)], Statuses()
    left, full = iter(lines), asyncio.Event()

    async def together(request: httpx.Request) -> httpx.Response:
        await full.wait()
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async def ask() -> None:
        proxy = Proxy(
            lambda: httpx.AsyncClient(transport=next(left), base_url="http://link"), lambda: now[0]
        )
        for line in lines:
            vars(line)["handle_async_request"] = together
        crowd = [asyncio.create_task(proxy(SCOPE, no_body, statuses.send)) for _ in lines]
        await asyncio.sleep(0)
        full.set()
        await asyncio.gather(*crowd)
        assert not any(line.closed for line in lines)
        now[0] = KEPT_S + 1
        await proxy(SCOPE, no_body, statuses.send)
        assert sum(line.closed for line in lines) == 2
        await proxy(SCOPE, no_body, statuses.send)

    asyncio.run(ask())
    assert statuses == [200] * 5
