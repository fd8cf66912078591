"""Server-sent events over a real socket: what is new, to a bounded number of people."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.page_run import RunFolder
from tests.page_server import served
from tests.server.page.conftest import Visitor


@pytest.fixture
def url(visitor: Visitor) -> Iterator[str]:
    with served(visitor.app) as url:
        yield url


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream with their ids."""
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "event", "data"):
            found[name] = json.loads(value) if name == "data" else value
        if not line and "data" in found:
            yield found
            found = {}


def test_rounds_come_as_they_close(url: str, run: RunFolder) -> None:
    run.rounds(1, 3)
    with httpx.stream("GET", f"{url}events", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "set-cookie" not in answer.headers
        stream = events(answer.iter_lines())
        first = next(stream)
        assert len(first["data"]["bins"]["rows"]) == 3
        written = time.monotonic()
        run.rounds(4, 4)
        second = next(stream)
        assert time.monotonic() - written < 3
        assert [row[0] for row in second["data"]["bins"]["rows"]] == [3]
        assert second["event"] == "change"


def test_a_browser_that_comes_back_is_sent_what_it_has_missed(url: str, run: RunFolder) -> None:
    run.rounds(1, 3)
    with httpx.stream("GET", f"{url}events", timeout=10) as answer:
        cursor = next(events(answer.iter_lines()))["id"]
    run.rounds(4, 5)
    seen = {"Last-Event-ID": cursor}
    with httpx.stream("GET", f"{url}events?seen=nonsense", headers=seen, timeout=10) as answer:
        missed = next(events(answer.iter_lines()))
    assert [row[0] for row in missed["data"]["bins"]["rows"]] == [3, 4]


def test_the_page_itself_says_where_its_stream_begins(url: str, run: RunFolder) -> None:
    run.rounds(1, 3)
    text = httpx.get(url).text
    cursor = text.partition('data-cursor="')[2].partition('"')[0]
    run.rounds(4, 4)
    with httpx.stream("GET", f"{url}events", params={"seen": cursor}, timeout=10) as answer:
        change = next(events(answer.iter_lines()))
    assert [row[0] for row in change["data"]["bins"]["rows"]] == [3]


def test_one_stream_too_many_is_refused_and_places_are_given_back(
    url: str, visitor: Visitor
) -> None:
    streams = visitor.app.state.streams
    streams.most = 2
    with (
        httpx.stream("GET", f"{url}events", timeout=10) as one,
        httpx.stream("GET", f"{url}events", timeout=10) as two,
    ):
        assert (one.status_code, two.status_code) == (200, 200)
        refused = httpx.get(f"{url}events")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "10"
        assert httpx.get(f"{url}health").status_code == 200
    end = time.monotonic() + 10
    while streams.open and time.monotonic() < end:
        time.sleep(0.05)
    assert streams.open == 0
    with httpx.stream("GET", f"{url}events", timeout=10) as again:
        assert again.status_code == 200
