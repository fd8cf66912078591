"""What the edge lets through: Flower's own route table is walked, and every trick is closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.coordinator.edge import is_fleet, make_edge
from server.coordinator.folder import CoordinatorFolder
from tests.server.coordinator.asking import TRICKS, Recorder, ask


def flower_routes() -> Iterator[tuple[str, str]]:
    """Every method and path that a SuperLink answers, from its own application."""
    from fastapi.routing import iter_route_contexts
    from flwr.superlink.main import create_app

    for context in iter_route_contexts(create_app().routes):
        for method in getattr(context.route, "methods", None) or {"GET"}:
            yield method, str(context.path)


def test_of_all_routes_of_flower_only_those_of_the_fleet_are_open(
    shared: CoordinatorFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    recorder, routes = Recorder(), sorted(set(flower_routes()))
    families = {path.split("/")[2] for _, path in routes if path.startswith("/v1/")}
    assert {"fleet", "control", "runtime"} <= families
    assert len(routes) > 60
    for method, path in routes:
        filled = path.replace("{", "").replace("}", "").encode()
        edge = make_edge(shared, fleet=recorder, ours=_nothing)
        before = len(recorder.seen)
        status = ask(edge, filled, method=method)
        if path.startswith("/v1/fleet/"):
            assert (status, recorder.seen[-1]) == (200, filled), path
        else:
            assert status == 404, path
            assert len(recorder.seen) == before, path


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Stand in the place of our own pages: what reaches it is ours, and Flower never sees it."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("path", TRICKS)
def test_no_trick_with_the_path_reaches_flower(shared: CoordinatorFolder, path: bytes) -> None:
    recorder = Recorder()
    assert ask(make_edge(shared, fleet=recorder), path) == 404
    assert recorder.seen == []


def test_a_query_is_no_way_in(shared: CoordinatorFolder) -> None:
    recorder = Recorder()
    edge = make_edge(shared, fleet=recorder)
    assert ask(edge, b"/v1/fleet/pull-messages", query=b"/v1/control/list-nodes") == 404
    assert recorder.seen == []


@given(st.binary(max_size=60) | st.text("/.%2eEfF5cvV1;letcontrl-\\", max_size=40).map(str.encode))
def test_nothing_but_plain_names_below_fleet_reaches_flower(tail: bytes) -> None:
    scope = {"raw_path": b"/v1/fleet/" + tail, "query_string": b""}
    plain = tail.replace(b"-", b"a")
    if is_fleet(scope):
        assert plain.isalnum()
        assert plain == plain.lower()
