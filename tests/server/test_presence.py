"""A dead site costs one deadline; whoever comes, or comes back, needs no restart."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
import torch
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from common.learner import make_learner
from common.messages import (
    HELLO_TYPE,
    Greeting,
    greeting_content,
    read_instruction,
    update_content,
)
from common.study import Study, make_study
from server.presence import Presence
from server.rounds import GridAsk, call_roll
from server.state import first_state
from tests.conftest import ward_settings

NAMES = ("Ash", "Birch", "Cedar")
DEADLINE_S = 0.3


@pytest.fixture(autouse=True)
def task_identity() -> None:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


@pytest.fixture
def study() -> Study:
    server = {"rounds": 9, "deadline_s": DEADLINE_S, "quorum": 0.5, "attempts": 1}
    sites = {"sites": [{"name": name} for name in NAMES], "server": server}
    return make_study(ward_settings() | sites, where="test")


@dataclass
class Wards:
    """Three nodes, each of which answers or is silent; online: those that Flower lists."""

    study: Study
    dim: int
    silent: set[str] = field(default_factory=set)
    online: tuple[int, ...] = (1, 2, 3)
    sent: dict[str, Message] = field(default_factory=dict)
    greetings: int = 0
    asked: list[str] = field(default_factory=list)

    def get_node_ids(self) -> Iterable[int]:
        return self.online

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        keys = []
        for message in messages:
            key = f"{len(self.sent)}"
            message.metadata.__dict__["_message_id"] = key
            self.sent[key] = message
            keys.append(key)
            if message.metadata.message_type == HELLO_TYPE:
                self.greetings += 1
            else:
                self.asked.append(NAMES[message.metadata.dst_node_id - 1])
        return keys

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = []
        for key in message_ids:
            message, site = self.sent[key], NAMES[self.sent[key].metadata.dst_node_id - 1]
            if site not in self.silent:
                replies.append(Message(self._answer(message, site), reply_to=message))
        return replies

    def _answer(self, message: Message, site: str) -> RecordDict:
        if message.metadata.message_type == HELLO_TYPE:
            return greeting_content(Greeting(site, self.study.id))
        asked = read_instruction(message.content, dim=self.dim)
        return update_content(asked.study, asked.round_index, torch.ones(self.dim))


@pytest.fixture
def wards(study: Study) -> Wards:
    return Wards(study, make_learner(study, seed=0).dim)


def test_a_dead_site_costs_one_deadline_and_is_skipped_until_it_is_back(
    wards: Wards, study: Study
) -> None:
    ask = GridAsk(wards, study, call_roll(wards, study))
    state = first_state(study, make_learner(study, seed=0))
    assert ask(state, NAMES).accepted == NAMES
    wards.silent = {"Cedar"}
    assert ask(state, NAMES).dropped == {"Cedar": "deadline"}
    wards.asked.clear()
    assert ask(state, NAMES).dropped == {"Cedar": "away"}
    assert wards.asked == ["Ash", "Birch"]
    wards.silent = set()
    assert ask(state, NAMES).accepted == NAMES


def test_a_site_that_comes_late_is_taken_in_without_a_restart(wards: Wards, study: Study) -> None:
    wards.online = (1, 2)
    ask = GridAsk(wards, study, call_roll(wards, study))
    state = first_state(study, make_learner(study, seed=0))
    assert ask(state, NAMES).dropped == {"Cedar": "absent"}
    wards.online = (1, 2, 3)
    assert ask(state, NAMES).accepted == NAMES


def test_below_quorum_the_round_waits_one_deadline_for_sites_to_return(
    wards: Wards, study: Study
) -> None:
    ask = GridAsk(wards, study, call_roll(wards, study))
    state = first_state(study, make_learner(study, seed=0))
    wards.silent = {"Birch", "Cedar"}
    ask(state, NAMES)
    begun = ask.roster.presence.clock()
    assert ask(state, NAMES).accepted == ("Ash",)
    assert ask.roster.presence.clock() - begun >= DEADLINE_S


def test_a_silent_node_is_not_greeted_at_every_turn(wards: Wards, study: Study) -> None:
    now = [0.0]
    presence = Presence(wards, study, clock=lambda: now[0])
    wards.silent = {"Cedar"}
    for _ in range(5):
        presence.refresh()
    assert wards.greetings == 3
    now[0] = DEADLINE_S
    presence.refresh()
    assert wards.greetings == 4


def test_a_name_that_is_taken_is_not_given_to_another_node(wards: Wards, study: Study) -> None:
    presence = Presence(wards, study)
    presence.refresh()
    before = dict(presence.node_of)
    presence._take(7, Greeting("Ash", study.id))
    presence._take(8, Greeting("Elm", study.id))
    presence._take(9, Greeting("Ash", "0" * 64))
    assert presence.node_of == before
    presence.leave(["Ash"])
    presence._take(7, Greeting("Ash", study.id))
    assert presence.here["Ash"] == 7


def test_a_name_counts_from_the_node_of_its_enrolled_key_only(wards: Wards, study: Study) -> None:
    presence = Presence(wards, study, bound=lambda: {"Ash": 1, "Birch": 3})
    presence.refresh()
    assert presence.here == {"Ash": 1}


def test_what_was_heard_is_kept_until_somebody_can_say_whose_keys_they_are(
    wards: Wards, study: Study
) -> None:
    known: list[dict[str, int] | None] = [None, None, {"Ash": 1, "Birch": 2, "Cedar": 3}]
    presence = Presence(wards, study, bound=lambda: known.pop(0))
    presence.refresh()
    presence.refresh()
    assert not presence.here
    presence.refresh()
    assert set(presence.here) == set(NAMES)
    assert wards.greetings == 3


def test_an_answer_that_never_comes_is_not_waited_for_twice(wards: Wards, study: Study) -> None:
    now = [0.0]
    presence = Presence(wards, study, clock=lambda: now[0])
    wards.silent = {"Cedar"}
    for _ in range(5):
        now[0] += DEADLINE_S
        presence.refresh()
    assert len(presence._waiting) == 1
