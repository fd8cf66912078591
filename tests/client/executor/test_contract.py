"""What the adapter takes for granted of flwr's internals, held against the installed version.

If this turns red after an upgrade of flwr, mend client/executor/flower.py first.
"""

import ast
import inspect
import sys
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context
from flwr.clientapp import ClientApp
from flwr.common import constant
from flwr.proto import runtime_pb2
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.routers.runtime.router import router
from flwr.supercore.run import InvalidRunStatusException, RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime import run_clientapp

from client.executor import flower, wiring
from client.executor.flower import check_flower, kinds_of
from common.errors import SettingsError
from common.messages import HELLO_TYPE, UPDATE_TYPE
from common.messages.votes import VOTES_TYPE
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


def test_the_commands_that_are_started_exist() -> None:
    for command in ("flower-supernode", "flower-superlink", "flower-superexec"):
        assert (Path(sys.executable).parent / command).exists()
