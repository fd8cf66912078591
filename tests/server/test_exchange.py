from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from common.errors import InvalidMessage
from server.exchange import TOGETHER, Outcome, Phase, exchange


@pytest.fixture(autouse=True)
def task_identity() -> None:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


class ScriptedPost:
    """A Grid that knows nodes 1 to 3 and plays one list of replies a pull."""

    def __init__(self, *pulls: list[tuple[int, RecordDict | Error]]) -> None:
        self.pulls = list(pulls)
        self.sent: dict[int, Message] = {}

    def get_node_ids(self) -> Iterable[int]:
        return [1, 2, 3]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        keys = []
        for message in messages:
            node = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = f"key-{node}"
            self.sent[node] = message
            keys.append(f"key-{node}" if node <= 3 else "")
        return keys

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = self.pulls.pop(0) if self.pulls else []
        return [Message(answer, reply_to=self.sent[node]) for node, answer in replies]


def content(value: int) -> RecordDict:
    return RecordDict({"head": ConfigRecord({"value": value})})


def read(record: RecordDict) -> int:
    value = int(str(record.config_records["head"]["value"]))
    if value < 0:
        raise InvalidMessage("negative", "it is negative", where="test", remedy="none")
    return value


def run(
    post: ScriptedPost, nodes: list[int], *, enough: int, deadline_s: float = 0.3
) -> Outcome[int]:
    phase = Phase(
        message_type="train.update",
        round_index=1,
        deadline_s=deadline_s,
        enough=enough,
        poll_s=0.01,
    )
    return exchange(post, dict.fromkeys(nodes, content(0)), read, phase)


def test_replies_that_come_in_several_pulls_are_all_taken() -> None:
    post = ScriptedPost([(2, content(20))], [], [(1, content(10)), (3, content(30))])
    outcome = run(post, [1, 2, 3], enough=3)
    assert outcome.accepted == {1: 10, 2: 20, 3: 30}
    assert outcome.dropped == {}


def test_a_bad_reply_is_dropped_with_its_reason_and_the_others_stay() -> None:
    post = ScriptedPost(
        [(1, content(-1)), (2, Error(code=2, reason="TableError")), (3, content(30))]
    )
    outcome = run(post, [1, 2, 3], enough=3)
    assert outcome.accepted == {3: 30}
    assert outcome.dropped == {1: "negative", 2: "error-2 TableError"}


def test_the_phase_closes_when_enough_have_answered_well() -> None:
    post = ScriptedPost([(1, content(-1)), (2, content(20))], [(3, content(30))])
    outcome = run(post, [1, 2, 3], enough=1, deadline_s=60)
    assert outcome.accepted == {2: 20}
    assert outcome.dropped == {1: "negative", 3: "closed"}


def test_the_phase_closes_at_the_deadline() -> None:
    outcome = run(ScriptedPost([(1, content(10))]), [1, 2], enough=2, deadline_s=0.05)
    assert outcome.accepted == {1: 10}
    assert outcome.dropped == {2: "deadline"}


def test_a_second_reply_of_a_node_changes_nothing() -> None:
    post = ScriptedPost([(1, content(10)), (1, content(99))], [(1, content(99)), (2, content(20))])
    assert run(post, [1, 2], enough=2).accepted == {1: 10, 2: 20}


def test_an_unknown_node_is_recorded_and_not_waited_for() -> None:
    outcome = run(ScriptedPost([(1, content(10))]), [1, 7], enough=2, deadline_s=60)
    assert outcome.accepted == {1: 10}
    assert outcome.dropped == {7: "unknown-node"}


@pytest.mark.parametrize("reason", ["patient 4711 is ill", "a\nb", "x" * 41, ""])
def test_a_sites_free_text_never_enters_the_record(reason: str) -> None:
    outcome = run(ScriptedPost([(1, Error(code=2, reason=reason))]), [1], enough=1)
    assert outcome.dropped == {1: "error-2"}


class CountingPost(ScriptedPost):
    """A Grid that notes how many messages are pushed at once."""

    def __init__(self) -> None:
        super().__init__([(3, content(3)), (1, content(1)), (2, content(2))])
        self.at_once: list[int] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        self.at_once.append(len(pushed))
        return super().push_messages(pushed)


def test_messages_are_pushed_a_few_at_once_and_each_key_is_of_its_node() -> None:
    post, nodes = CountingPost(), [*range(4, 4 + TOGETHER), 1, 2, 3]
    outcome = run(post, nodes, enough=3)
    assert post.at_once == [TOGETHER, 3]
    assert outcome.accepted == {1: 1, 2: 2, 3: 3}
    assert outcome.dropped == dict.fromkeys(range(4, 4 + TOGETHER), "unknown-node")
