"""What is set from outside in Flower is still there, and takes what it is given."""

import ast
import asyncio
import inspect
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore import sql_mixin
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectUnavailableError,
    pull_objects,
)
from flwr.supercore.sql_mixin import SqlMixin
from flwr.supercore.state.schema.linkstate_models import MessageIns
from flwr.supercore.utils import uint64_to_int64
from flwr.superlink import main
from flwr.superlink.cli import flower_superlink
from flwr.superlink.grid import http_grid
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from server.coordinator.quick import (
    CONCERNS,
    FIRST_WAIT_S,
    PARTS_S,
    led_around,
    looked_first,
    now_and_then,
    quicken_grid,
    quicken_superlink,
)

SET: list[tuple[Any, str]] = [
    (main, "_get_middleware"),
    (SqlCoreState, "_cleanup_expired_task_tokens"),
    (SqlLinkState, "store_traffic"),
    (SqlLinkState, "get_message_ins"),
    (sql_mixin, "SQLITE_PRAGMAS"),
]


def test_the_grid_looks_for_a_replys_parts_at_short_waits() -> None:
    before = vars(http_grid)["pull_objects"]
    assert {"initial_backoff", "backoff_cap", "max_time"} <= set(
        inspect.signature(before).parameters
    )
    source = inspect.getsource(http_grid.HttpGrid.pull_messages)
    assert "pull_objects(" in source
    assert "initial_backoff" not in source
    try:
        quicken_grid()
        quicken_grid()
        assert vars(http_grid)["pull_objects"].keywords["initial_backoff"] == FIRST_WAIT_S
        assert vars(http_grid)["pull_objects"].keywords["max_time"] == PARTS_S
        assert vars(http_grid)["pull_objects"].func is before
    finally:
        vars(http_grid)["pull_objects"] = before


def test_a_reply_whose_parts_never_come_is_given_up_by_flower_and_not_the_run() -> None:
    def never(object_id: str) -> bytes:
        raise ObjectUnavailableError(object_id)

    with pytest.raises(ObjectPullError):
        pull_objects(["part"], never, initial_backoff=0.01, backoff_cap=0.02, max_time=0.05)
    assert "except ObjectPullError" in inspect.getsource(http_grid.HttpGrid.pull_messages)


def test_the_superlink_makes_its_layers_by_the_name_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "create_app(" in Path(inspect.getfile(flower_superlink)).read_text()
    assert "middleware=_get_middleware()" in inspect.getsource(main.create_app)
    given = [layer.cls for layer in main._get_middleware()]
    for owner, name in SET:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    quicken_superlink()
    made = main._get_middleware()
    inner: list[Any] = [layer.args[0] if layer.args else layer for layer in made]
    led = [layer.cls for layer in inner]
    assert led == given, "none is lost, and their order is as before"
    assert sum(bool(layer.args) for layer in made) == len(CONCERNS)


def test_flowers_layers_act_upon_the_paths_that_they_are_entered_for_and_no_others() -> None:
    for layer in main._get_middleware():
        name = getattr(layer.cls, "__name__", "")
        if name not in CONCERNS:
            assert name in ("BaseHTTPMiddleware", "ProtobufTranslationMiddleware")
            continue
        module = ast.parse(inspect.getsource(inspect.getmodule(layer.cls) or main))
        texts = {n.value for n in ast.walk(module) if isinstance(n, ast.Constant)}
        source = inspect.getsource(layer.cls)
        paths = {text for text in texts if isinstance(text, str) and text.startswith("/v1/")}
        assert all(path.startswith(CONCERNS[name]) for path in paths), name
        tests = ("startswith(", "_is_control_path(", "_is_control_sensitive_route(")
        runtime = "AcquireTaskResponse" in source and "PullTaskInputResponse" in source
        assert runtime or any(test in source for test in tests), name


def test_a_stored_runs_lapsed_process_is_still_noticed_and_bytes_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    for owner, name in SET:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(SqlCoreState, "_cleanup_expired_task_tokens", done.append)
    counts = inspect.signature(SqlLinkState.store_traffic)
    quicken_superlink()
    state = object.__new__(SqlLinkState)
    state._cleanup_expired_task_tokens()
    state._cleanup_expired_task_tokens()
    assert done == [state]
    assert (
        list(inspect.signature(SqlLinkState.store_traffic).parameters)[1:]
        == list(counts.parameters)[1:]
    )
    state.store_traffic(1, bytes_sent=1, bytes_recv=1)


def test_a_token_that_has_lapsed_is_refused_before_that_is_written_down() -> None:
    source = inspect.getsource(SqlCoreState.get_task_by_token)
    assert "row.active_until < current" in source
    assert "_cleanup" not in source
    assert "_cleanup_expired_task_tokens" not in vars(SqlLinkState)


def test_a_chore_is_done_at_first_and_then_once_a_second() -> None:
    done, clock = [], iter([0.0, 0.0, 0.9, 1.0, 1.0, 1.5, 2.1, 2.1])
    chore = now_and_then(lambda state: done.append(state), lambda: next(clock))
    for number in range(5):
        chore(number)
    assert done == [0, 2, 4]


@pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")
def test_a_nodes_messages_are_claimed_only_if_one_waits(tmp_path: Path) -> None:
    claims: list[tuple[int, int]] = []

    def claim(state: object, node_id: int, limit: int) -> list[str]:
        claims.append((node_id, limit))
        return ["message"]

    state = SqlLinkState.__new__(SqlLinkState)
    SqlMixin.__init__(state, str(tmp_path / "superlink.db"))
    state.initialize()
    ask, theirs = looked_first(claim), 2**64 - 5  # beyond SQLite's signed numbers
    assert ask(state, theirs, 1) == []
    new = {"dst_node_id": uint64_to_int64(theirs), "delivered_at": ""}
    with state.session() as session:
        session.add(MessageIns(message_id="given", **new | {"delivered_at": "2026"}))
        session.add(MessageIns(message_id="another's", **new | {"dst_node_id": 7}))
    assert ask(state, theirs, 1) == []
    with state.session() as session:
        session.add(MessageIns(message_id="new", **new))
    assert ask(state, theirs, limit=1) == ["message"]
    assert claims == [(theirs, 1)]


def test_who_wants_to_write_waits_longer_than_flower_has_them_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = dict(vars(sql_mixin)["SQLITE_PRAGMAS"])
    for owner, name in SET:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    quicken_superlink()
    connection = sqlite3.connect(":memory:")
    sql_mixin._set_sqlite_pragmas(connection, None)
    waited = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    assert waited > int(before["busy_timeout"])
    after = dict(vars(sql_mixin)["SQLITE_PRAGMAS"])
    assert {**before, "busy_timeout": after["busy_timeout"]} == after


def test_flower_claims_for_a_node_what_was_not_delivered() -> None:
    source = inspect.getsource(SqlLinkState._claim_message_ins_rows)
    assert "MessageInsModel.dst_node_id == uint64_to_int64(node_id)" in source
    assert 'MessageInsModel.delivered_at == ""' in source


class NodeAuthMiddleware(BaseHTTPMiddleware):
    """Stands for Flower's: refuses what is not signed."""

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if "signature" not in request.headers:
            return PlainTextResponse("who are you?", status_code=401)
        return await call_next(request)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/fleet/pull-messages", 401), ("/v1/runtime/pull-messages", 200), ("/health", 200)],
)
def test_a_layer_is_entered_for_its_own_paths_and_passed_by_for_others(
    path: str, status: int
) -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("reached")

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://superlink") as client:
            asked = (await client.get(path), await client.get(path, headers={"signature": "x"}))
            return [answer.status_code for answer in asked]

    app = Starlette(middleware=led_around([Middleware(NodeAuthMiddleware)]))
    app.add_route(path, answer)
    assert asyncio.run(ask()) == [status, 200]
