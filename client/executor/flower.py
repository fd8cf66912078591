"""The adapter to Flower's Runtime API, as flwr 1.41 has it: the local SuperNode's tasks.

With client/executor/supernode.py this is all of our code that knows Flower's internals;
tests/client/executor/test_contract.py and test_supernode.py hold them against the installed
version. Three habits of Flower's own executor are left out on purpose: a retry invoker, which
answers HTTP 401 by SIGINT to the whole process; a heartbeat that does the same; and the text of
exceptions in replies.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from threading import Event

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SubStatus
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_objects,
)
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.run import InvalidRunStatusException, RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.runtime.run_clientapp import push_message, push_task_output

from client.executor.tasks import Task, TaskLost, Unreachable, Unreadable
from common.errors import SettingsError
from common.messages.wire import MAX_BYTES, Bounded, NoMessage, read_message

FLOWER = "1.41."
ACQUIRE, KIND = "/flwr.proto.Runtime/AcquireTask", "flwr-clientapp"
FIRST_WAIT_S, LONGEST_WAIT_S, OUTLINE_S, PATIENCE_S = 0.01, 0.2, 5.0, 60.0


def check_flower() -> None:
    """Refuse any flwr whose internals this adapter has not been held against.

    Raises:
        SettingsError: flwr is not installed, or is not 1.41.
    """
    try:
        installed = version("flwr")
    except PackageNotFoundError:
        installed = "none"
    if not installed.startswith(FLOWER):
        raise SettingsError(
            f"flwr {installed} is installed; the node's executor knows flwr {FLOWER}x only",
            where="installed packages",
            remedy="pip install -c constraints.txt of this release",
        )


def kinds_of(app: ClientApp) -> frozenset[str]:
    """Return the message types that an app has functions for."""
    return frozenset(app._registered_funcs)


@contextmanager
def _losing() -> Iterator[None]:
    """Turn whatever says that a task is ours no longer into TaskLost."""
    try:
        yield
    except (RunNotRunningException, InvalidRunStatusException):
        raise TaskLost("run-stopped") from None
    except httpx.HTTPStatusError as error:
        codes = {401: "task-expired", 403: "run-stopped"}
        raise TaskLost(codes.get(error.response.status_code, "runtime-refused")) from None
    except httpx.HTTPError:
        raise TaskLost("connection-lost") from None
    except ObjectPushError:
        raise TaskLost("task-expired") from None


class RuntimeQueue:
    """The tasks that the SuperNode on `address` (host:port, loopback) holds for us."""

    def __init__(self, address: str, secret: bytes) -> None:
        self._address = address
        guard = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={ACQUIRE})
        self._client = self._connect("SuperExec", guard)

    def claim(self) -> Task | None:
        """Return the oldest task that waits, if any."""
        try:
            answer = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[KIND]))
        except httpx.HTTPStatusError as error:
            refused = error.response.status_code == httpx.codes.UNAUTHORIZED
            raise Unreachable("secret-refused" if refused else "runtime-refused") from None
        except (httpx.HTTPError, ValueError):
            raise Unreachable("supernode-unreachable") from None
        if not answer.HasField("task"):
            return None
        return RuntimeTask(self._connect(KIND, RuntimeTokenHttpInterceptor(answer.token)))

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _connect(
        self, component: str, guard: SuperExecAuthHttpInterceptor | RuntimeTokenHttpInterceptor
    ) -> RuntimeHttpClient:
        layers = [RuntimeVersionHttpInterceptor(component_name=component), guard]
        return RuntimeHttpClient.from_server_address(self._address, True, None, layers)


class RuntimeTask:
    """One claimed task; its heartbeats run from here until `close`."""

    def __init__(self, client: RuntimeHttpClient) -> None:
        self._client, self._lost, self._read = client, Event(), False
        self._heartbeats = HeartbeatSender(self._beat)
        self._heartbeats.start()
        try:
            with _losing():
                self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Read all but the message's content."""
        given = self._client.PullTaskInput(PullTaskInputRequest())
        TaskIdentity.task_id = given.task_id
        TaskIdentity.run_id = self.run = given.run.run_id
        TaskIdentity.node_id = self.node = given.context.node_id
        self.bundle: bytes = given.fab.content
        self._outline, self._tree = self._pull_outline()
        self.kind = self._outline.metadata.message_type
        self.group = self._outline.metadata.group_id

    def _pull_outline(self) -> tuple[Message, ObjectTree]:
        """Return the message without content; the SuperNode offers a task just before it."""
        end = time.monotonic() + OUTLINE_S
        while not (given := self._client.PullMessages(PullAppMessagesRequest())).messages_list:
            if time.monotonic() > end:
                raise TaskLost("task-expired")
            time.sleep(FIRST_WAIT_S)
        return message_from_proto(given.messages_list[0]), given.message_object_trees[0]

    def _beat(self) -> bool:
        """Say that we live; a task that is lost is left, its process stays."""
        try:
            alive = bool(self._client.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success)
        except httpx.TransportError:
            return False
        except (httpx.HTTPError, ValueError, RuntimeError):
            alive = False
        if not alive:
            self._lost.set()
        return True

    def message(self) -> Message:
        """Return the message with its content."""
        with _losing():
            try:
                message = read_message(self._tree.object_id, self._contents(MAX_BYTES))
            except ObjectPullError:
                self._read = True  # it is not waited for twice
                raise Unreadable("incomplete-message") from None
            except NoMessage:
                raise Unreadable("unreadable-message") from None
        message.metadata.__dict__["_message_id"] = self._tree.object_id
        return message

    def _contents(self, limit: int) -> dict[str, bytes]:
        """Return all objects of the message, and tell the SuperNode that it may forget them.

        Raises:
            Unreadable: they are more than `limit` bytes.
        """
        names = [tree.object_id for tree in iterate_object_tree(self._tree)]
        where = Node(node_id=self.node)
        pull = make_pull_object_fn_protobuf(self._client.PullObject, where, self.run)
        bounded = Bounded(pull, limit)
        contents = pull_objects(
            names,
            bounded,
            max_time=PATIENCE_S,
            initial_backoff=FIRST_WAIT_S,
            backoff_cap=LONGEST_WAIT_S,
        )
        done = make_confirm_message_received_fn_protobuf(
            self._client.ConfirmMessageReceived, where, self.run
        )
        done(self._tree.object_id)
        if bounded.over:
            raise Unreadable("oversize")
        self._read = True
        return contents

    def answer(self, reply: Message) -> None:
        """Hand the reply over."""
        self._push(reply, SubStatus.COMPLETED, "")

    def refuse(self, code: str) -> None:
        """Answer with a reason code; what nobody has read is taken off the SuperNode's hands."""
        if not self._read:
            with suppress(Unreadable, ObjectPullError), _losing():
                self._contents(0)
        error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, code)
        self._push(Message(error, reply_to=self._outline), SubStatus.FAILED, code)

    def _push(self, reply: Message, status: str, details: str) -> None:
        if self._lost.is_set():
            raise TaskLost("task-expired")
        context = Context(self.run, self.node, {}, RecordDict(), {})
        with _losing():
            push_message(self._client, reply, context)
            push_task_output(self._client, None, status, details)

    def close(self) -> None:
        """End heartbeats and connection."""
        with suppress(RuntimeError):
            self._heartbeats.stop()
        self._client.close()
