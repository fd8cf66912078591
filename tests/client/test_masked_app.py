"""A site's answers to the messages of secure aggregation, and to those of another profile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import app
from client.masking import milliseconds
from client.site import open_site
from common.messages import UPDATE_TYPE, Instruction, instruction_content
from common.messages.masked import (
    ConfirmRequest,
    confirm_content,
    opening_content,
    read_offer,
)
from common.messages.purposes import PHASES, UPDATES, VOTES
from common.parameters import flatten
from common.privacy.histograms import CELLS
from common.privacy.masking.roster import read_roster
from common.privacy.masking.rules import threshold_of
from common.privacy.masking.statements import Advertisement
from common.privacy.masking.statements import Context as Session
from common.study import study_toml
from simulation.source import SimulatedSource, make_plan, tailored

PRIVACY = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 0.1}
TYPES = [UPDATES.message_type(phase) for phase in PHASES]
VOTES_TYPES = [VOTES.message_type(phase) for phase in PHASES]
ADVERTISE_TYPE, CONFIRM_TYPE = TYPES[0], TYPES[3]
Make = Callable[..., Context]


@pytest.fixture
def context(wards: Callable[..., dict[str, Any]]) -> Make:
    def make(**changes: Any) -> Context:
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
        node = {"partition-id": 0, "num-partitions": 4}
        settings = wards(**changes)
        study = tailored(make_plan(settings), settings)  # the one that lists its sites
        Path(settings["study"]).write_text(study_toml(study))
        return Context(
            run_id=1, node_id=1, node_config=dict(node), state=RecordDict(), run_config=settings
        )

    return make


def ask(content: RecordDict, message_type: str, context: Context) -> Message:
    message = Message(content, 1, message_type)
    message.metadata.__dict__["_message_id"] = "m"
    return app(message, context)


def terms(context: Context) -> Session:
    opened = open_site(context.node_config, context.run_config)
    study, learner = opened.study, opened.learner
    roster = read_roster(SimulatedSource().roster(context.run_config), where="test").roster
    names = tuple(site.name for site in roster.sites)
    return Session(
        federation=roster.federation,
        study=study.id,
        roster=roster.hash,
        cohort=names,
        threshold=threshold_of(len(names)),
        turns=2,
        dim=learner.dim,
        opened=milliseconds(),
        fast_path=True,
    )


def test_a_site_joins_under_its_own_name_and_remembers_it_in_its_nodes_state(context: Make) -> None:
    here = context(privacy=PRIVACY)
    session = terms(here)
    reply = ask(opening_content(session.study, session.text), ADVERTISE_TYPE, here)
    offer = Advertisement.read(read_offer(reply.content).statement)
    assert (offer.site, offer.context, len(offer.turns)) == ("Ash", session.id, 2)
    assert set(here.state) == {"masking"}
    again = ask(opening_content(session.study, session.text), ADVERTISE_TYPE, here)
    assert again.error.reason == "stale-session"


def test_a_session_of_one_purpose_is_none_of_the_other_be_the_vectors_equally_long(
    context: Make,
) -> None:
    here = context(privacy=PRIVACY)
    updates = terms(here)
    votes = updates.model_copy(update={"study": VOTES.terms(updates.study), "dim": CELLS})
    for purpose, offered, reason in (
        (VOTES, updates.model_copy(update={"dim": CELLS}), "wrong-terms"),
        (VOTES, votes.model_copy(update={"dim": updates.dim}), "wrong-terms"),
        (UPDATES, votes.model_copy(update={"dim": updates.dim}), "wrong-terms"),
        (VOTES, votes, ""),
        (UPDATES, updates, ""),
    ):
        content = opening_content(updates.study, offered.text)
        reply = ask(content, purpose.message_type("advertise"), here)
        assert (reply.error.reason if reply.has_error() else "") == reason
    assert set(here.state) == {"masking", "votes"}


def test_a_masked_study_is_never_answered_without_masks(context: Make) -> None:
    here = context(privacy=PRIVACY)
    opened = open_site(here.node_config, here.run_config)
    instruction = Instruction(opened.study.id, 1, flatten(opened.learner.initial))
    reply = ask(instruction_content(instruction), UPDATE_TYPE, here)
    assert reply.error.reason == "wrong-profile"


@pytest.mark.parametrize("message_type", TYPES + VOTES_TYPES)
def test_a_study_without_masks_answers_none_of_the_phases(message_type: str, context: Make) -> None:
    assert ask(RecordDict(), message_type, context()).error.reason == "wrong-profile"


@pytest.mark.parametrize("message_type", TYPES)
def test_a_message_of_another_form_costs_the_session(message_type: str, context: Make) -> None:
    here = context(privacy=PRIVACY)
    session = terms(here)
    ask(opening_content(session.study, session.text), ADVERTISE_TYPE, here)
    assert ask(RecordDict(), message_type, here).error.reason == "wrong-schema"
    request = ConfirmRequest(0, session.cohort, b"")
    reply = ask(confirm_content(session.study, request), CONFIRM_TYPE, here)
    assert reply.error.reason == "no-session"


def test_another_studys_request_is_refused(context: Make) -> None:
    here = context(privacy=PRIVACY)
    reply = ask(opening_content("0" * 64, terms(here).text), ADVERTISE_TYPE, here)
    assert reply.error.reason == "wrong-study"
