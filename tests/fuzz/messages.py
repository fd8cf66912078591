"""The decoders of messages between a node and the coordinator, with one field that is hostile."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict

from common import messages
from common.enrolment import JOIN
from common.errors import InvalidMessage
from common.messages import masked, votes
from common.privacy.histograms import CELLS
from common.privacy.masking.statements import signed
from common.privacy.masking.turns import Confirmation
from tests.fuzz.inputs import CALL, DIM, HEX, IDENTITY, JOINING, THETA, Decoder


def in_a_field(content: RecordDict, read: Callable[[RecordDict], object]) -> Decoder:
    """Return the decoder of a message of which one field, or one record, is the bytes."""

    def decode(raw: bytes) -> object:
        if not raw:
            return read(content)
        head: dict[str, Any] = dict(content["head"])
        names, place, rest = sorted(head), raw[0], raw[1:]
        name = names[place % len(names)]
        kinds: tuple[Any, ...] = (rest, rest.decode("utf-8", "replace"), len(rest), [1.5])
        head[name] = kinds[place // len(names) % len(kinds)]
        changed = RecordDict({**content, "head": ConfigRecord(head)})
        if place > 250:
            changed["vector-1"] = ConfigRecord({"vector": rest})
        return read(changed)

    return Decoder(decode, b"", (InvalidMessage,))


def plain_messages() -> Mapping[str, Decoder]:
    told = messages.Instruction("s", 1, THETA)
    return {
        "greeting": in_a_field(
            messages.greeting_content(messages.Greeting("Ash", "s")), messages.read_greeting
        ),
        "instruction": in_a_field(
            messages.instruction_content(told), lambda c: messages.read_instruction(c, dim=DIM)
        ),
        "update": in_a_field(
            messages.update_content("s", 1, THETA),
            lambda c: messages.read_update(c, study="s", round_index=1, dim=DIM, max_norm=9.0),
        ),
    }


def masked_messages() -> Mapping[str, Decoder]:
    asked = masked.MaskedInstruction("s", CALL, THETA)
    offer, words = signed(JOINING, IDENTITY, JOIN), np.zeros(DIM, np.uint64)
    return {
        "masked instruction": in_a_field(
            masked.masked_instruction_content(asked),
            lambda c: masked.read_masked_instruction(c, study="s", dim=DIM),
        ),
        "masked input": in_a_field(
            masked.input_content(CALL, words), lambda c: masked.read_input(c, call=CALL, dim=DIM)
        ),
        "offer": in_a_field(masked.offer_content(offer), masked.read_offer),
        "offers": in_a_field(
            masked.offers_content("s", [offer]),
            lambda c: masked.read_offers(c, study="s"),
        ),
        "deal": in_a_field(masked.deal_content(b"1234"), lambda c: masked.read_deal(c, size=4)),
        "confirm": in_a_field(
            masked.confirm_content("s", masked.ConfirmRequest(1, ("Ash",), b"")),
            lambda c: masked.read_confirm(c, study="s"),
        ),
        "confirmation": in_a_field(
            masked.confirmation_content(1, Confirmation(b"s" * 64, b"a" * 66)),
            lambda c: masked.read_confirmation(c, turn=1, shares=1),
        ),
        "opening": in_a_field(
            masked.opening_content("s", HEX), lambda c: masked.read_opening(c, study="s")
        ),
        "reveal": in_a_field(
            masked.reveal_content("s", masked.RevealRequest(1, {"Ash": b"a" * 64}, b"")),
            lambda c: masked.read_reveal(c, study="s"),
        ),
        "shares": in_a_field(
            masked.shares_content(1, b"a" * 66), lambda c: masked.read_shares(c, turn=1, shares=1)
        ),
    }


def vote_messages() -> Mapping[str, Decoder]:
    ballot = votes.VotesRequest("s", 1, "t", THETA)
    return {
        "votes request": in_a_field(
            votes.votes_request_content(ballot),
            lambda c: votes.read_votes_request(c, study="s", dim=DIM),
        ),
        "masked votes request": in_a_field(
            votes.masked_votes_request_content(votes.MaskedVotesRequest(CALL, ballot)),
            lambda c: votes.read_masked_votes_request(c, study="s", dim=DIM),
        ),
        "votes": in_a_field(
            votes.votes_content(ballot, np.zeros(CELLS, np.int64)),
            lambda c: votes.read_votes(c, request=ballot),
        ),
    }
