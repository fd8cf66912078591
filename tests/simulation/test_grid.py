from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from simulation.faults import Fault
from simulation.grid import InProcessGrid

Handler = Callable[[Message, Context], Message]


def make_app(handler: Handler) -> ClientApp:
    app = ClientApp()
    app.train("echo")(handler)
    return app


def echo(message: Message, context: Context) -> Message:
    content = RecordDict({"head": ConfigRecord({"node": context.node_id})})
    return Message(content, reply_to=message)


def contexts(*nodes: int) -> dict[int, Context]:
    return {
        n: Context(run_id=1, node_id=n, node_config={}, state=RecordDict(), run_config={})
        for n in nodes
    }


def message(node: int, round_index: int = 1) -> Message:
    content = RecordDict({"head": ConfigRecord({"ask": round_index})})
    return Message(content, node, "train.echo", group_id=str(round_index))


def node_of(reply: Message) -> Any:
    return reply.content.config_records["head"]["node"]


@pytest.mark.parametrize("serialise", [False, True])
def test_each_node_answers_once_and_ids_keep_their_order(serialise: bool) -> None:
    grid = InProcessGrid(make_app(echo), contexts(1, 2), serialise=serialise)
    keys = grid.push_messages([message(2), message(7), message(1)])
    assert keys[1] == "", "an unknown node has no id"
    replies = {r.metadata.reply_to_message_id: node_of(r) for r in grid.pull_messages(keys)}
    assert replies == {keys[0]: 2, keys[2]: 1}
    assert list(grid.pull_messages(keys)) == [], "a reply is handed out once"
    assert (grid.bytes_sent > 0) == serialise
    assert (grid.bytes_received > 0) == serialise


def test_a_client_that_raises_becomes_an_error_reply_without_its_text() -> None:
    def fail(message: Message, context: Context) -> Message:
        raise RuntimeError("patient 4711")

    grid = InProcessGrid(make_app(fail), contexts(1))
    (reply,) = grid.pull_messages(grid.push_messages([message(1)]))
    assert reply.has_error()
    assert "4711" not in str(reply.error.reason)


def test_a_delayed_reply_comes_with_the_next_phase_and_a_dropped_one_never() -> None:
    faults = {1: Fault.DELAY, 2: Fault.DROP}
    grid = InProcessGrid(
        make_app(echo), contexts(1, 2), fault=lambda r, n: faults.get(n) if r == 1 else None
    )
    first = grid.push_messages([message(1), message(2)])
    assert list(grid.pull_messages(first)) == []
    grid.push_messages([message(1, 2)])
    assert [node_of(r) for r in grid.pull_messages(first)] == [1]


def test_rounds_are_told_as_they_are_asked_for() -> None:
    seen: list[int] = []
    grid = InProcessGrid(make_app(echo), contexts(1), on_round=seen.append)
    for index in (1, 2):
        grid.push_messages([message(1, index)])
    assert seen == [1, 2]
