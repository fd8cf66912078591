"""What the adapter takes for granted of flwr's internals, held against the installed version.

If this turns red after an upgrade of flwr, mend client/executor/flower.py and supernode.py first.
"""

import ast
import inspect
import sys
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common import constant
from flwr.proto import runtime_pb2
from flwr.supercore import exit as flower_exit
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.retry.http_retry import make_simple_http_retry_invoker
from flwr.supercore.routers.runtime.router import router
from flwr.supercore.run import InvalidRunStatusException, RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.nodestate import NodeStateFactory
from flwr.supernode.runtime import run_clientapp

from client.executor import flower, wiring
from client.executor.flower import check_flower, kinds_of
from client.executor.supernode import IDLE_S, Clock, broken_line, quicken, received, watch
from common.errors import SettingsError
from common.messages import HELLO_TYPE, UPDATE_TYPE
from common.messages.votes import VOTES_TYPE
from tests.client.executor.fakes import request
from tests.test_architecture import ROOT, modules

ADAPTERS = {"client/executor/flower.py", "client/executor/supernode.py"}
PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_flwr_is_the_version_that_the_adapter_knows() -> None:
    assert version("flwr").startswith("1.41.")
    check_flower()


@pytest.mark.parametrize("other", ["1.40.9", "1.42.0", "2.0.0", "1.410.0"])
def test_another_flwr_is_refused_at_start(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower, "version", lambda _: other)
    with pytest.raises(SettingsError, match=f"flwr {other} is installed"):
        check_flower()


def test_only_the_adapter_knows_flowers_internals_at_a_node() -> None:
    for path, tree in modules():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("client/") or name in ADAPTERS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flwr"):
                assert node.module in PUBLIC, f"{name} imports {node.module}"


def test_signatures_of_what_is_called() -> None:
    assert parameters(run_clientapp.push_message) == ["client", "message", "context"]
    assert parameters(run_clientapp.push_task_output) == [
        "client",
        "context",
        "sub_status",
        "details",
    ]
    assert parameters(RuntimeHttpClient.from_server_address)[:4] == [
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
    ]
    assert parameters(HeartbeatSender.__init__) == ["self", "heartbeat_fn"]
    assert parameters(inflatable_utils.inflate_object_from_contents)[:2] == [
        "object_id",
        "object_contents",
    ]
    for name in ("max_time", "initial_backoff", "backoff_cap"):
        assert name in parameters(inflatable_utils.pull_objects)
    assert [f.name for f in fields(Context)][:5] == [
        "run_id",
        "node_id",
        "node_config",
        "state",
        "run_config",
    ]


def test_the_types_of_an_app_are_those_that_it_has_functions_for() -> None:
    app = ClientApp()
    app.train("update")(lambda message, _: message)
    app.query("hello")(lambda message, _: message)
    assert kinds_of(app) == {"train.update", "query.hello"}
    assert {HELLO_TYPE, UPDATE_TYPE, VOTES_TYPE} <= wiring.kinds()


def test_routes_of_the_runtime_api() -> None:
    routes = {getattr(route, "path", "") for route in router.routes}
    for name in (
        "acquire-task",
        "pull-task-input",
        "pull-messages",
        "pull-object",
        "confirm-message-received",
        "push-messages",
        "push-object",
        "push-task-output",
        "send-task-heartbeat",
    ):
        assert f"/v1/runtime/{name}" in routes
        assert hasattr(RuntimeHttpClient, "".join(part.title() for part in name.split("-")))


def test_fields_of_the_messages() -> None:
    for message, names in (
        (runtime_pb2.AcquireTaskRequest, {"supported_task_types"}),
        (runtime_pb2.AcquireTaskResponse, {"task", "token"}),
        (runtime_pb2.PullTaskInputResponse, {"context", "run", "fab", "task_id"}),
        (runtime_pb2.PullAppMessagesResponse, {"messages_list", "message_object_trees"}),
        (runtime_pb2.SendTaskHeartbeatResponse, {"success"}),
    ):
        assert names <= set(message.DESCRIPTOR.fields_by_name)
    assert constant.SubStatus.COMPLETED == "completed"
    assert constant.SubStatus.FAILED == "failed"
    assert constant.ErrorCode.CLIENT_APP_RAISED_EXCEPTION == 2


def test_what_is_no_exception_is_known() -> None:
    for lost in (RunNotRunningException, InvalidRunStatusException):
        assert issubclass(lost, BaseException)
        assert not issubclass(lost, Exception)


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


def test_the_supernode_is_quickened_and_watched_and_still_flowers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name in (
        (start_client_internal, "time"),
        (start_client_internal, "pull_objects"),
        (start_client_internal, "_pull_and_store_message"),
        (fleet_http_connection, "FleetHttpClient"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    quicken()
    assert isinstance(vars(start_client_internal)["time"], Clock)
    sent: list[str] = []

    class Sent:
        def send(self, event: str, **fields: Any) -> None:
            sent.append(event + fields.get("code", ""))

    watch(Sent())  # type: ignore[arg-type]
    watched = vars(fleet_http_connection)["FleetHttpClient"]
    assert issubclass(watched, FleetHttpClient)
    assert set(parameters(ProtobufClient._unary_unary)) >= {"self", "path", "request"}
    monkeypatch.setattr(ProtobufClient, "_unary_unary", lambda self, **_: "answer")
    client = watched("http://127.0.0.1:9")
    assert client._unary_unary(path="x") == client._unary_unary(path="x") == "answer"
    assert sent == ["contact"]

    def eof(self: object, **_: object) -> str:
        raise httpx.ReadError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred")

    monkeypatch.setattr(ProtobufClient, "_unary_unary", eof)
    with pytest.raises(httpx.ReadError, match="the line to the coordinator broke"):
        client._unary_unary(path="x")
    assert sent == ["contact", "troubleno-connection"]


def test_flower_tries_again_over_a_broken_line_and_would_not_if_its_error_named_tls() -> None:
    raised: list[httpx.ReadError] = []
    told = httpx.ReadError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred")

    def call(error: httpx.ReadError) -> str:
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
    sent: list[str] = []

    loop = start_client_internal._pull_and_store_message
    given = dict.fromkeys(parameters(loop)) | {"state": state}

    def received_once(**how: Any) -> int | None:
        assert how == given
        return came.pop(0)

    def turn() -> None:
        """One turn of Flower's loop."""
        if received(received_once, **given) is not None:
            replies = state.get_messages_legacy(is_reply=True)
            sent.extend(reply.metadata.message_id for reply in replies)

    def answer(name: str) -> None:
        reply = Message(Error(2, "x"), reply_to=request())
        reply.metadata.__dict__["_message_id"] = name
        state.store_message(reply)

    state.store_message(request())
    turn()
    assert sent == [], "a request is no reply"
    answer("of a run that has ended")
    turn()
    assert sent == ["of a run that has ended"]
    turn()  # a message is received, whose reply comes late
    answer("of the next")
    turn()
    assert sent == ["of a run that has ended", "of the next"]
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


def test_the_commands_that_are_started_exist() -> None:
    for command in ("flower-supernode", "flower-superlink", "flower-superexec"):
        assert (Path(sys.executable).parent / command).exists()
