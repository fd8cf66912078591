"""A reply that is none costs its sender the round, and nobody else."""

import inspect
from collections.abc import Callable
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, Error, Message, RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
)
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import http_grid

from common.messages import wire
from server.coordinator import replies


class Runtime:
    """In the place of the SuperLink: messages with their objects, by the hand of a hospital."""

    def __init__(self) -> None:
        self.heads: list[Any] = []
        self.trees: list[ObjectTree] = []
        self.objects: dict[str, bytes] = {}
        self.confirmed: list[str] = []

    def put(self, asked: str, tree: ObjectTree, objects: dict[str, bytes]) -> None:
        """Put a reply there to the message `asked`, as the SuperLink has it in its books."""
        head = Message(Error(0), reply_to=message(RecordDict(), asked))
        head.metadata.__dict__["_message_id"] = tree.object_id
        self.heads.append(message_to_proto(head))
        self.trees.append(tree)
        self.objects |= objects

    def PullMessages(self, request: Any) -> Any:
        return SimpleNamespace(messages_list=self.heads, message_object_trees=self.trees)

    def PullObject(self, request: Any) -> Any:
        content = self.objects.get(request.object_id, b"")
        return SimpleNamespace(
            object_found=True, object_available=bool(content), object_content=content
        )

    def ConfirmMessageReceived(self, request: Any) -> None:
        self.confirmed.append(request.message_object_id)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    pull = vars(http_grid)["pull_objects"]
    soon = {"initial_backoff": 0.01, "max_time": 0.05}
    monkeypatch.setattr(http_grid, "pull_objects", lambda *args: pull(*args, **soon))
    return Runtime()


def message(content: RecordDict, name: str) -> Message:
    made = Message(content, 1, "train.update")
    made.metadata.__dict__["_message_id"] = name
    return made


def objects_of(one: Any) -> tuple[ObjectTree, dict[str, bytes]]:
    parts = get_all_nested_objects(one)
    return get_object_tree(one), {name: part.deflate() for name, part in parts.items()}


def honest(asked: str, number: int) -> tuple[ObjectTree, dict[str, bytes]]:
    content = RecordDict({"head": ConfigRecord({"n": number})})
    return objects_of(Message(content, reply_to=message(RecordDict(), asked)))


def pulled(runtime: Runtime) -> list[Message]:
    from flwr.proto.node_pb2 import Node

    grid = SimpleNamespace(_runtime_client=runtime, node=Node(node_id=1))
    return replies.pull_messages(grid, ["a", "b"])


def raw(
    body: bytes, kind: str = "Message", children: str = ""
) -> tuple[ObjectTree, dict[str, bytes]]:
    content = f"{kind} {children} {len(body)}".encode() + b"\x00" + body
    name = get_object_id(content)
    return ObjectTree(object_id=name), {name: content}


def wide() -> tuple[ObjectTree, dict[str, bytes]]:
    tree, objects = honest("b", 1)
    tree.children.extend([ObjectTree(object_id="x")] * replies.MAX_OBJECTS)
    return tree, objects


BAD: dict[str, Callable[[], tuple[ObjectTree, dict[str, bytes]]]] = {
    "no protobuf": lambda: raw(b"\xff\xff\xff"),
    "no children": lambda: raw(b""),
    "nothing at all": lambda: (ObjectTree(object_id="b"), {"b": b"garbage"}),
    "a record in place of a message": lambda: objects_of(ConfigRecord({"n": 1})),
    "an array in place of the records": lambda: _around(Array(np.zeros(2))),
    "too many objects": wide,
    "parts that never come": lambda: (honest("b", 1)[0], {}),
}


def _around(child: Any) -> tuple[ObjectTree, dict[str, bytes]]:
    """Return a message whose content is something else."""
    tree, objects = objects_of(child)
    body = message_to_proto(message(RecordDict(), "b")).SerializeToString()
    top, more = raw(body, children=tree.object_id)
    top.children.append(tree)
    return top, objects | more


@pytest.mark.parametrize("bad", BAD)
def test_a_reply_that_is_none_is_an_error_and_the_others_are_read(
    runtime: Runtime, bad: str
) -> None:
    runtime.put("b", *BAD[bad]())
    runtime.put("a", *honest("a", 7))
    wrong, right = pulled(runtime)
    assert wrong.has_error()
    assert wrong.metadata.reply_to_message_id == "b"
    assert right.content["head"] == ConfigRecord({"n": 7})
    assert right.metadata.reply_to_message_id == "a"
    assert len(runtime.confirmed) == (1 if bad == "parts that never come" else 2)


def test_a_reply_beyond_the_bound_is_not_kept(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "Bounded", lambda pull: wire.Bounded(pull, 100))
    runtime.put("a", *honest("a", 7))
    (reply,) = pulled(runtime)
    assert reply.error.reason == replies.OVERSIZE


def test_a_reply_that_is_slow_to_come_holds_up_no_other(runtime: Runtime) -> None:
    slow, quick = honest("a", 1), honest("b", 2)
    runtime.put("a", *slow)
    runtime.put("b", *quick)
    confirmed, pull, came = runtime.ConfirmMessageReceived, runtime.PullObject, Event()

    def confirm(request: Any) -> None:
        confirmed(request)
        came.set()

    def after_the_other(request: Any) -> Any:
        assert request.object_id in quick[1] or came.wait(10.0), "the other waits for this one"
        return pull(request)

    vars(runtime).update(ConfirmMessageReceived=confirm, PullObject=after_the_other)
    assert [one.has_content() for one in pulled(runtime)] == [True, True]
    assert runtime.confirmed == [quick[0].object_id, slow[0].object_id]


def test_nobody_answers_in_the_name_of_another(runtime: Runtime) -> None:
    runtime.put("b", *honest("a", 7))  # what it says itself is that it answers to a
    (reply,) = pulled(runtime)
    assert reply.metadata.reply_to_message_id == "b"


def test_an_error_that_a_node_sends_comes_through(runtime: Runtime) -> None:
    runtime.put("a", *objects_of(Message(Error(2, "why"), reply_to=message(RecordDict(), "a"))))
    (reply,) = pulled(runtime)
    assert (reply.error.code, reply.error.reason) == (2, "why")


def test_what_is_set_from_outside_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = inspect.signature(http_grid.HttpGrid.pull_messages)
    assert list(theirs.parameters) == ["self", "message_ids"]
    source = inspect.getsource(http_grid.HttpGrid.pull_messages)
    assert "self._runtime_client.PullMessages" in source
    monkeypatch.setattr(http_grid.HttpGrid, "pull_messages", None)
    replies.guard_grid()
    assert http_grid.HttpGrid.pull_messages is replies.pull_messages
