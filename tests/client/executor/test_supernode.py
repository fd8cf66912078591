"""What is set from outside in Flower's SuperNode, held against the installed version.

If this turns red after an upgrade of flwr, mend client/executor/supernode.py first.
"""

import ast
import inspect
from typing import Any

import httpx
import pytest
from flwr.app import Error, Message
from flwr.common import constant
from flwr.supercore import exit as flower_exit
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.retry.http_retry import make_simple_http_retry_invoker
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.nodestate import NodeStateFactory

from client.executor.supernode import IDLE_S, Clock, broken_line, quicken, received, watch
from tests.client.executor.fakes import request

END_OF_FILE = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred"


def test_the_supernodes_loop_sleeps_where_we_think_it_does() -> None:
    source = inspect.getsource(start_client_internal)
    uses = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name) and n.id == "time"]
    sleeps = [
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "time.sleep"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert sorted(map(str, sleeps)) == ["0.5", "0.5", "3"]
    assert len(uses) == 3, "the loop uses its clock for sleeping only"
    assert source.count("pull_objects(") == 1
    assert constant.HEARTBEAT_DEFAULT_INTERVAL == 30


@pytest.fixture
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower has its own again after the test."""
    for module, name in (
        (start_client_internal, "time"),
        (start_client_internal, "pull_objects"),
        (start_client_internal, "_pull_and_store_message"),
        (fleet_http_connection, "FleetHttpClient"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))


@pytest.mark.usefixtures("put_back")
def test_the_supernodes_loop_is_quickened() -> None:
    before = dict(vars(start_client_internal))
    quicken()
    after = vars(start_client_internal)
    assert isinstance(after["time"], Clock)
    changed = {name for name, value in after.items() if value is not before[name]}
    assert changed == {"time", "pull_objects", "_pull_and_store_message"}


@pytest.mark.usefixtures("put_back")
def test_the_fleets_client_is_watched_and_still_flowers(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Sent:
        def send(self, event: str, **fields: Any) -> None:
            sent.append(event + fields.get("code", ""))

    watch(Sent())  # type: ignore[arg-type]
    watched = vars(fleet_http_connection)["FleetHttpClient"]
    assert issubclass(watched, FleetHttpClient)
    taken = inspect.signature(ProtobufClient._unary_unary).parameters
    assert taken.keys() >= {"self", "path", "request"}
    monkeypatch.setattr(ProtobufClient, "_unary_unary", lambda self, **_: "answer")
    client = watched("http://127.0.0.1:9")
    assert client._unary_unary(path="x") == client._unary_unary(path="x") == "answer"
    assert sent == ["contact"]

    def eof(self: object, **_: object) -> str:
        raise httpx.ReadError(END_OF_FILE)

    monkeypatch.setattr(ProtobufClient, "_unary_unary", eof)
    with pytest.raises(httpx.ReadError, match="the line to the coordinator broke"):
        client._unary_unary(path="x")
    assert sent == ["contact", "troubleno-connection"]


def test_flower_tries_again_over_a_broken_line_and_would_not_if_its_error_named_tls() -> None:
    raised: list[httpx.TransportError] = []
    told = httpx.ReadError(END_OF_FILE)

    def call(error: httpx.TransportError) -> str:
        raised.append(error)
        if len(raised) < 3:
            raise error
        return "answer"

    invoker = make_simple_http_retry_invoker()
    invoker.wait_function = lambda seconds: None
    with pytest.raises(httpx.ReadError):
        invoker.invoke(call, told)
    assert invoker.invoke(call, broken_line(told)) == "answer"


def test_idle_polls_grow_to_flowers_own_three_seconds_and_shrink_after_work() -> None:
    slept: list[float] = []
    clock = Clock(slept.append)
    for _ in range(30):
        clock.sleep(3)
    assert slept[0] == 0.05
    assert slept[-1] == IDLE_S == 3
    clock.sleep(0.5)
    clock.sleep(3)
    assert slept[-2:] == [0.02, 0.5]
    for _ in range(4):
        clock.sleep(0.5)
        clock.sleep(3)
    assert slept[-2:] == [0.02, 0.05]


def test_a_reply_that_nobody_waited_for_is_sent_and_does_not_hold_up_the_next() -> None:
    state = NodeStateFactory(ObjectStoreFactory()).state()
    came: list[int | None] = [None, None, 7, None]
    loop = start_client_internal._pull_and_store_message
    given = dict.fromkeys(inspect.signature(loop).parameters) | {"state": state}

    def received_once(**how: Any) -> int | None:
        assert how == given
        return came.pop(0)

    def sent_in_a_turn() -> list[str]:
        """What one turn of Flower's loop sends."""
        if received(received_once, **given) is None:
            return []
        return [r.metadata.message_id for r in state.get_messages_legacy(is_reply=True)]

    def answer(name: str) -> None:
        reply = Message(Error(2, "x"), reply_to=request())
        reply.metadata.__dict__["_message_id"] = name
        state.store_message(reply)

    state.store_message(request())
    assert sent_in_a_turn() == [], "a request is no reply"
    answer("of a run that has ended")
    assert sent_in_a_turn() == ["of a run that has ended"]
    assert sent_in_a_turn() == []  # a message is received, whose reply comes late
    answer("of the next")
    assert sent_in_a_turn() == ["of the next"]
    assert came == []


def test_flowers_loop_sends_only_what_it_has_received_for() -> None:
    source = inspect.getsource(start_client_internal.start_client_internal)
    receiving, sending = (
        source.index("run_id = _pull_and_store_message("),
        source.index("_push_messages("),
    )
    assert "if run_id is None:" in source[receiving:sending]
    assert "state=state," in source[receiving:sending]


def test_codes_of_a_refused_node() -> None:
    assert flower_exit.ExitCode.SUPERNODE_CONNECTION_ERROR == 305
    text = '{"code": 2004, "detail": "could not be activated"}'
    told = FlowerError.from_json(text)
    assert told is not None
    assert told.code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED
