"""The adapter against the SuperNode's own runtime API, served on loopback in this process."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread
from typing import Any

import pytest
import uvicorn
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.supercore.fab import Fab
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run
from flwr.supernode.main import create_app
from flwr.supernode.nodestate import NodeStateFactory

from client.executor import flower
from client.executor.executor import WRONG_BUNDLE, Executor
from client.executor.flower import RuntimeQueue
from client.executor.tasks import TaskLost, Unreachable
from tests.client.executor.fakes import Reports, echo
from tests.client.executor.runtime_api import FAB, NODE, RUN, SECRET, SuperNode
from tests.coordinating import free_ports


@pytest.fixture
def node() -> Iterator[SuperNode]:
    store_factory = ObjectStoreFactory()
    factory = NodeStateFactory(objectstore_factory=store_factory)
    state, store = factory.state(), store_factory.store()
    state.set_node_id(NODE)
    run = Run.create_empty(run_id=RUN)
    state.store_run(run)
    run.fab_hash = hashlib.sha256(FAB).hexdigest()
    state.store_fab(Fab(run.fab_hash, FAB, {}))
    told = Context(RUN, NODE, {"site": "x"}, RecordDict(), {"evil": "setting"})
    state.set_run_series_context(run.series_id, told)
    (port,) = free_ports(1)
    config = uvicorn.Config(
        create_app(factory, SECRET), host="127.0.0.1", port=port, log_level="error", ws="none"
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield SuperNode(f"127.0.0.1:{port}", state, store)
    server.should_exit = True
    thread.join(timeout=10)


def serve(node: SuperNode, app: Any = echo, *, bundles: frozenset[str] | None = None) -> Reports:
    """Let an executor answer what is offered, and return what it says."""
    reports = Reports()
    approved = frozenset({hashlib.sha256(FAB).hexdigest()}) if bundles is None else bundles
    queue = RuntimeQueue(node.address, SECRET)
    one = Executor(
        queue,
        app,
        node_config={"node": "/hospital"},
        approved=lambda: approved,
        kinds=frozenset({"train.update"}),
        report=reports,
    )
    with closing(queue):
        assert one.step()
    return reports


def vector(size: int = 3) -> RecordDict:
    import numpy as np

    return RecordDict({"body": ArrayRecord({"v": Array(np.arange(size, dtype=np.float32))})})


def test_a_request_is_claimed_read_and_answered(node: SuperNode) -> None:
    asked = node.offer(vector())
    seen: list[tuple[Message, Context]] = []

    def app(message: Message, context: Context) -> Message:
        seen.append((message, context))
        return echo(message, context)

    reports = serve(node, app)
    assert reports.events[0]["event"] == "answered"
    assert reports.events[0]["round"] == "4"
    ((message, context),) = seen
    assert message.content.array_records["body"]["v"].numpy().tolist() == [0, 1, 2]
    assert context.run_config == {}
    assert context.node_config == {"node": "/hospital"}
    reply = node.reply()
    assert reply.metadata.reply_to_message_id == asked
    assert node.store.get_object_tree(reply.metadata.message_id)
    kept = node.state.get_run_series_context(node.state.get_run(RUN).series_id)
    assert "/hospital" not in str(kept), "the SuperNode learns nothing of the hospital's folder"


def test_a_wrong_bundle_is_refused_and_its_message_forgotten(node: SuperNode) -> None:
    asked = node.offer(vector())
    serve(node, bundles=frozenset())
    assert node.reply().error.reason == WRONG_BUNDLE
    assert node.store.get(asked) is None


@pytest.mark.parametrize(
    "damage", [b"", b"garbage", b"Message  4\x00oops", b"ArrayRecord  2\x00{}", b"\xff" * 100]
)
def test_garbage_in_place_of_a_message_is_refused_by_code(node: SuperNode, damage: bytes) -> None:
    node.offer(vector(), damage=damage or b"Nothing  0\x00")
    reports = serve(node)
    assert node.reply().error.reason == "unreadable-message"
    assert reports.events[-1]["event"] == "refused"


def test_parts_that_never_come_are_waited_for_once(
    node: SuperNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[object] = []
    pull = vars(flower)["pull_objects"]

    def counted(names: object, *given: Any, **more: Any) -> Any:
        waits.append(names)
        return pull(names, *given, **more)

    monkeypatch.setattr(flower, "PATIENCE_S", 0.3)
    monkeypatch.setattr(flower, "pull_objects", counted)
    node.offer(vector(), whole=False)
    serve(node)
    assert node.reply().error.reason == "incomplete-message"
    assert len(waits) == 1


def test_an_oversize_message_is_refused_and_not_kept(
    node: SuperNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flower, "MAX_BYTES", 1000)
    asked = node.offer(vector(5000))
    serve(node)
    assert node.reply().error.reason == "oversize"
    assert node.store.get(asked) is None


def test_the_app_s_exception_text_reaches_neither_reply_nor_task_output(node: SuperNode) -> None:
    node.offer(vector())

    def app(message: Message, context: Context) -> Message:
        raise ValueError("Erika Mustermann 4711")

    serve(node, app)
    reply = node.reply()
    (task,) = node.state.get_tasks()
    assert reply.error.reason == "ValueError"
    assert task.status.details == "ValueError"
    assert "Erika" not in f"{task}{reply}{reply.metadata}"


def test_without_the_secret_nothing_is_claimed(node: SuperNode) -> None:
    node.offer(vector())
    with (
        closing(RuntimeQueue(node.address, b"t" * 32)) as queue,
        pytest.raises(Unreachable, match="secret-refused"),
    ):
        queue.claim()


def test_nobody_there_is_said_and_survived() -> None:
    (port,) = free_ports(1)
    with (
        closing(RuntimeQueue(f"127.0.0.1:{port}", SECRET)) as queue,
        pytest.raises(Unreachable, match="supernode-unreachable"),
    ):
        queue.claim()


def test_an_idle_queue_gives_nothing(node: SuperNode) -> None:
    with closing(RuntimeQueue(node.address, SECRET)) as queue:
        assert queue.claim() is None


def test_a_supernode_that_has_forgotten_the_task_ends_the_task_and_not_the_process(
    node: SuperNode,
) -> None:
    node.offer(vector())
    forgotten = Event()

    def app(message: Message, context: Context) -> Message:
        node.state.task_token_store.clear()  # as after a restart
        node.state.task_token_to_task_id.clear()
        forgotten.set()
        return echo(message, context)

    reports = serve(node, app)
    assert forgotten.is_set()
    assert reports.named("dropped")[0]["code"] == "task-expired"
    node.offer(vector())
    assert serve(node).named("answered")


def test_a_task_lost_between_claim_and_reading_is_lost_quietly(
    node: SuperNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.state.create_task("flwr-clientapp", RUN, fab_hash="f")  # and no message follows
    monkeypatch.setattr(flower, "OUTLINE_S", 0.05)
    with (
        closing(RuntimeQueue(node.address, SECRET)) as queue,
        pytest.raises(TaskLost, match="task-expired"),
    ):
        queue.claim()
