"""A queue of tasks in memory, as client/executor/tasks.py describes it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.executor.executor import Executor
from client.executor.tasks import Task

BUNDLE = b"the bundle that the hospital has approved"
APPROVED = frozenset({hashlib.sha256(BUNDLE).hexdigest()})
TRAIN = MessageType.TRAIN
RUN, NODE = 7, 3


def request(kind: str = TRAIN, group: str = "5") -> Message:
    """A message as it comes from a coordinator: with an id."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = RUN, 1, NODE
    content = RecordDict({"head": ConfigRecord({"version": 1})})
    message = Message(content, NODE, TRAIN)
    values = {"_message_id": "m1", "_message_type": kind, "_group_id": group}
    message.metadata.__dict__.update(values)
    return message


@dataclass
class FakeTask:
    """A task whose answers are kept; `fails` says with what a step ends."""

    asked: Message = field(default_factory=request)
    bundle: bytes = BUNDLE
    fails: dict[str, BaseException] = field(default_factory=dict)
    said: list[Any] = field(default_factory=list)
    read: int = 0
    closed: int = 0
    run: int = RUN
    node: int = NODE

    @property
    def kind(self) -> str:
        return self.asked.metadata.message_type

    @property
    def group(self) -> str:
        return self.asked.metadata.group_id

    def message(self) -> Message:
        self.read += 1
        self._may_fail("message")
        return self.asked

    def answer(self, reply: Message) -> None:
        self._may_fail("answer")
        self.said.append(reply)

    def refuse(self, code: str) -> None:
        self._may_fail("refuse")
        self.said.append(code)

    def close(self) -> None:
        self.closed += 1

    def _may_fail(self, step: str) -> None:
        if step in self.fails:
            raise self.fails[step]


class FakeQueue:
    """Gives the tasks one by one; an exception among them is raised."""

    def __init__(self, tasks: Iterable[FakeTask | BaseException | None]) -> None:
        self._tasks: Iterator[FakeTask | BaseException | None] = iter(tasks)

    def claim(self) -> Task | None:
        task = next(self._tasks, None)
        if isinstance(task, BaseException):
            raise task
        return task  # type: ignore[return-value]


@dataclass
class Reports:
    """What the executor has said."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def named(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]


def echo(message: Message, context: Context) -> Message:
    """An app that answers with what it was asked."""
    return Message(message.content, reply_to=message)


def executor(
    tasks: Iterable[FakeTask | BaseException | None],
    app: Callable[[Message, Context], object] = echo,
    **changes: Any,
) -> tuple[Executor, Reports]:
    reports = Reports()
    parts: dict[str, Any] = {
        "node_config": {"node": "/hospital"},
        "approved": lambda: APPROVED,
        "kinds": frozenset({TRAIN, "train.update", "query.hello"}),
        "report": reports,
    }
    return Executor(FakeQueue(tasks), app, **(parts | changes)), reports


def answer(task: FakeTask, app: Callable[[Message, Context], object] = echo, **changes: Any) -> Any:
    """Let an executor handle one task and return what it said."""
    one, _ = executor([task], app, **changes)
    assert one.step()
    assert task.closed == 1
    (said,) = task.said
    return said
