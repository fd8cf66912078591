"""A site's handlers of secure aggregation's messages; `client.app` registers them.

What breaks a rule, the form of a message included, costs the session.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from numpy.typing import NDArray

from client.masking import Masker
from client.membership import open_masker, require_profile
from client.release import release
from client.site import Opened, open_site
from common.messages import Instruction, reply
from common.messages.frame import study_of
from common.messages.masked import (
    confirmation_content,
    deal_content,
    input_content,
    offer_content,
    read_confirm,
    read_masked_instruction,
    read_offers,
    read_opening,
    read_reveal,
    shares_content,
)
from common.messages.purposes import UPDATES, Purpose
from common.privacy.masking.statements import theta_digest


def advertise(message: Message, context: Context, purpose: Purpose = UPDATES) -> Message:
    """Join a session of secure aggregation."""
    opened, masker = open_member(message, context, purpose)
    with masker.burning():
        terms = read_opening(message.content, study=opened.study.id)
        return reply(message, offer_content(masker.advertise(terms)))


def deal(message: Message, context: Context, purpose: Purpose = UPDATES) -> Message:
    """Deal shares of this site's secrets."""
    opened, masker = open_member(message, context, purpose)
    with masker.burning():
        offers = read_offers(message.content, study=opened.study.id)
        return reply(message, deal_content(masker.deal(offers)))


def masked_input(message: Message, context: Context) -> Message:
    """Answer with the update under its masks."""
    opened, masker = open_member(message, context, UPDATES)
    study, dim = opened.study, opened.learner.dim
    with masker.burning():
        asked = read_masked_instruction(message.content, study=study.id, dim=dim)
        theta = theta_digest(asked.theta.numpy().astype("<f4").tobytes())
        fresh = 1 + asked.call.deck.turn if masker.state().revealed(asked.call.round) else 0
        run, instruction = str(message.metadata.run_id), asked.instruction
        words = masker.masked_input(
            asked.call,
            theta,
            lambda: weighted(opened, instruction, run=run, fresh=fresh),
            fresh=bool(fresh),
        )
        return reply(message, input_content(asked.call, words))


def confirm(message: Message, context: Context, purpose: Purpose = UPDATES) -> Message:
    """Sign whose inputs are added up."""
    opened, masker = open_member(message, context, purpose)
    with masker.burning():
        asked = read_confirm(message.content, study=opened.study.id)
        answer = masker.confirm(asked.turn, asked.survivors, asked.cells)
        return reply(message, confirmation_content(asked.turn, answer))


def reveal(message: Message, context: Context, purpose: Purpose = UPDATES) -> Message:
    """Tell the shares of a turn in which a site has dropped out."""
    opened, masker = open_member(message, context, purpose)
    with masker.burning():
        asked = read_reveal(message.content, study=opened.study.id)
        shares = masker.reveal(asked.turn, asked.signatures, asked.cells)
        return reply(message, shares_content(asked.turn, shares))


def open_member(message: Message, context: Context, purpose: Purpose) -> tuple[Opened, Masker]:
    """Return what the node stands for, and its part in the sessions of a purpose."""
    opened = open_site(context.node_config, context.run_config, study_of(message.content))
    require_profile(opened.study, masked=True)
    memory = ContextStore(context.state, purpose.name)
    return opened, open_masker(opened, context.run_config, memory, purpose)


def weighted(
    opened: Opened, instruction: Instruction, *, run: str, fresh: int = 0
) -> NDArray[np.float64]:
    """Return the site's update [d] times its public weight."""
    weights = {site.name: site.weight for site in opened.study.sites}
    update = release(opened, instruction, run=run, fresh=fresh)
    return weights[opened.site.name] * update.double().numpy()


@dataclass
class ContextStore:
    """The memory of a virtual site: Flower keeps it with the node, for as long as the run lasts.

    name: of the record that holds it.
    """

    state: RecordDict
    name: str
    lock: Lock = field(default_factory=Lock)

    def load(self) -> str | None:
        """Return what was saved last, or None."""
        record = self.state.get(self.name)
        return str(record["text"]) if isinstance(record, ConfigRecord) else None

    def save(self, text: str) -> None:
        """Keep the text."""
        self.state[self.name] = ConfigRecord({"text": text})

    def hold(self) -> AbstractContextManager[object]:
        """Keep other threads out; a node answers one message at a time anyway."""
        return self.lock
