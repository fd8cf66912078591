"""Whatever is asked of the edge or of the page gets an answer that is no failure, and no effect."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.control import read_wish
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import open_book
from server.coordinator.service import Service
from server.coordinator.settings import EdgeLimits
from server.page.app import make_page
from server.page.guard import token_digest
from tests.coordinating import NOON, invited, make_folder, ward
from tests.fuzz.hostile import BOMBS, hostile, tries
from tests.page_run import make_run

METHODS = ("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "CONNECT", "BREW")
TEXTS = (b"", b"9" * 5000, b"-1", "²".encode(), b"\xff", b"null", b"a, b", b"Bearer ", b"%00" * 99)


class Door(NamedTuple):
    """An application; what is asked of it well; what no stranger may have changed."""

    app: Callable[..., Any]
    paths: tuple[bytes, ...]
    headers: Mapping[bytes, bytes]
    body: bytes
    state: Callable[[], object]


def edge(folder: Path) -> Door:
    """Return the edge; who joins has a secret that is wrong."""
    made, site = make_folder(folder), ward()
    code = invited(made)
    body = site.application(code).replace(code.secret.hex(), "0" * 40)
    unbound = EdgeLimits(rate=1e5, burst=10**6, enrol_rate=1e3, enrol_burst=10**4)
    settings = made.settings.model_copy(
        update={"edge": made.settings.edge.model_copy(update={"limits": unbound})}
    )
    open_wide = made._replace(settings=settings)
    ours = Service(open_wide, registrar=lambda _: True, clock=lambda: NOON).app()
    paths = (b"/health", b"/enrol", b"/enrol/ca", b"/enrol/rotate", b"/enrol/study")
    headers = site.question(made.authority, "/enrol/study", asked=NOON)
    return Door(
        make_edge(open_wide, fleet=_flower, ours=ours),
        (*paths, b"/enrol/roster", b"/v1/fleet/pull-messages", b"/v1/control/list-nodes"),
        {name.encode(): value.encode() for name, value in headers.items()},
        body.encode(),
        lambda: _members(made),
    )


async def _flower(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the SuperLink: read all, and say no."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _members(folder: CoordinatorFolder) -> object:
    with open_book(folder.registry) as book:
        return book.sites(), book.nodes(), [entry.used for entry in book.invitations()]


def page(folder: Path) -> Door:
    """Return the live page; who has a wish has a token that is wrong."""
    run = make_run(folder).folder
    return Door(
        make_page(run, token_hash=token_digest("t" * 40)),
        (b"/", b"/metrics", b"/health", b"/wish", b"/static/page.css", b"/static/../../page.py"),
        {b"authorization": b"Bearer " + b"u" * 40, b"content-type": b"application/json"},
        b'{"wish":"stop"}',
        lambda: (read_wish(run), sorted(path.name for path in run.iterdir())),
    )


@pytest.fixture(scope="module", params=[edge, page], ids=lambda made: made.__name__)
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Door:
    made: Door = request.param(tmp_path_factory.mktemp("door"))
    return made


def asked(door: Door, scope: dict[str, Any], body: bytes) -> int:
    """Return the one status that a request gets."""
    statuses: list[int] = []
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(door.app(scope, receive, send))
    (status,) = statuses
    return status


def scope_of(method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes]) -> Any:
    """Return what h11 makes of a request: in its first line it lets visible ASCII through alone."""
    path, query = (bytes(b for b in part if 0x20 < b < 0x7F) for part in (path, query))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 5000),
        "server": ("localhost", 443),
    }


@tries(150)
@given(data=st.data())
def test_a_request_of_any_kind_is_answered_and_changes_nothing(
    door: Door, data: st.DataObject
) -> None:
    before = door.state()
    body = data.draw(st.just(door.body) | st.sampled_from(BOMBS) | hostile(door.body))
    well = {b"host": b"localhost", b"content-length": b"%d" % len(body), **door.headers}
    wrong = st.sampled_from(TEXTS) | st.binary(max_size=40)
    name = data.draw(st.sampled_from([*well, b"origin", b"sec-fetch-site", b"last-event-id"]))
    headers = well | {name: data.draw(st.just(well.get(name, b"")) | wrong | hostile(b"u" * 40))}
    path = data.draw(st.sampled_from(door.paths) | hostile(door.paths[-1]))
    query = data.draw(st.sampled_from([b"", b"seen=" + b"9" * 60]) | st.binary(max_size=20))
    scope = scope_of(data.draw(st.sampled_from(METHODS)), path, query, headers)
    assert 200 <= asked(door, scope, body) < 500
    assert door.state() == before


def test_a_request_that_is_well_reaches_what_it_asks_for(door: Door) -> None:
    """Else the test above would only ever see the first refusal."""
    headers = {b"host": b"localhost", b"content-length": b"%d" % len(door.body), **door.headers}
    get, post = ("/health", "/enrol") if b"/enrol" in door.paths else ("/", "/wish")
    assert asked(door, scope_of("GET", get.encode(), b"", headers), b"") == 200
    refused = asked(door, scope_of("POST", post.encode(), b"", headers), door.body)
    assert refused in (401, 403), "read as a whole, and refused for its secret"
