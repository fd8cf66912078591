"""How much may be sent to the edge, how often, and in what form."""

import asyncio
from typing import Any

from common.enrolment import SMALL_BODY
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from tests.server.coordinator.asking import Recorder, ask, call, client


def test_a_body_that_is_too_long_is_refused_declared_or_not(shared: CoordinatorFolder) -> None:
    assert call(shared, "POST", "/enrol", content=bytes(SMALL_BODY)).status_code == 403
    assert call(shared, "POST", "/enrol", content=bytes(SMALL_BODY + 1)).status_code == 413

    async def parts() -> Any:
        for _ in range(SMALL_BODY // 1000 + 1):
            yield bytes(1000)

    assert call(shared, "POST", "/enrol", content=parts()).status_code == 413


def test_a_request_that_can_be_read_in_two_ways_is_refused(shared: CoordinatorFolder) -> None:
    recorder = Recorder()
    edge = make_edge(shared, fleet=recorder)
    both = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    twice = [(b"content-length", b"5"), (b"content-length", b"6")]
    for headers in (both, twice, [(b"content-length", b"-1")], [(b"content-length", b"9" * 30)]):
        assert ask(edge, b"/v1/fleet/get-run", headers=headers) == 400
    assert recorder.seen == []


def test_who_asks_too_often_is_told_to_wait(shared: CoordinatorFolder) -> None:
    limits = {"enrol_rate": 0.001, "enrol_burst": 3, "rate": 0.001, "burst": 2}

    async def often() -> tuple[list[int], list[int]]:
        async with client(shared, status=401, **limits) as http:
            ours = [(await http.get("/enrol/ca")).status_code for _ in range(5)]
            fleet = [(await http.post("/v1/fleet/get-run")).status_code for _ in range(4)]
        return ours, fleet

    ours, fleet = asyncio.run(often())
    assert ours == [200, 200, 200, 429, 429]
    assert fleet == [401, 401, 503, 503]  # Flower's client waits after a 503, and ends after a 429


def test_a_node_that_flower_knows_may_ask_eight_times_as_often(shared: CoordinatorFolder) -> None:
    async def often() -> list[int]:
        async with client(shared, rate=0.001, burst=2) as http:
            return [(await http.post("/v1/fleet/get-run")).status_code for _ in range(12)]

    # 2 requests at once; each counts for 1/8, and the last needs a whole one: 2 - 9/8 < 1.
    assert asyncio.run(often()) == [200] * 9 + [503] * 3
