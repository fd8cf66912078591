"""The phases of secure aggregation on the wire: read back as written, strict about their form."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, RecordDict

from common.errors import InvalidMessage
from common.messages.masked import (
    ConfirmRequest,
    MaskedInstruction,
    RevealRequest,
    confirm_content,
    confirmation_content,
    deal_content,
    input_content,
    masked_instruction_content,
    offer_content,
    offers_content,
    opening_content,
    read_confirm,
    read_confirmation,
    read_deal,
    read_input,
    read_masked_instruction,
    read_offer,
    read_offers,
    read_opening,
    read_reveal,
    read_shares,
    reveal_content,
    shares_content,
)
from common.privacy.masking.shamir import SHARE_BYTES
from common.privacy.masking.statements import Call, Deck, Signed
from common.privacy.masking.turns import Confirmation

STUDY, D = "a" * 64, 5
SIGNED = Signed(statement="text", signature="0f" * 64)
CALL = Call(deck=Deck(context="b" * 64, turn=3, cards=()), round=7, asked=("Ash", "Birch"))
CONFIRM = ConfirmRequest(3, ("Ash", "Birch"), b"cells")
REVEAL = RevealRequest(3, {"Ash": b"s" * 64}, b"cells")
ANSWER = Confirmation(b"s" * 64, b"x" * 2 * SHARE_BYTES)
INSTRUCTION = MaskedInstruction(STUDY, CALL, torch.arange(float(D)))
WORDS = np.arange(D, dtype=np.uint64) + np.uint64(2**63)

Read = Callable[[RecordDict], Any]
KINDS: dict[str, tuple[RecordDict, Read, Any]] = {
    "opening": (
        opening_content(STUDY, "context"),
        lambda content: read_opening(content, study=STUDY),
        "context",
    ),
    "offer": (offer_content(SIGNED), read_offer, SIGNED),
    "offers": (
        offers_content(STUDY, [SIGNED, SIGNED]),
        lambda content: read_offers(content, study=STUDY),
        (SIGNED, SIGNED),
    ),
    "deal": (deal_content(b"123"), lambda content: read_deal(content, size=3), b"123"),
    "confirm": (
        confirm_content(STUDY, CONFIRM),
        lambda content: read_confirm(content, study=STUDY),
        CONFIRM,
    ),
    "confirmation": (
        confirmation_content(3, ANSWER),
        lambda content: read_confirmation(content, turn=3, shares=2),
        ANSWER,
    ),
    "reveal": (
        reveal_content(STUDY, REVEAL),
        lambda content: read_reveal(content, study=STUDY),
        REVEAL,
    ),
    "shares": (
        shares_content(3, b"x" * SHARE_BYTES),
        lambda content: read_shares(content, turn=3, shares=1),
        b"x" * SHARE_BYTES,
    ),
}


def code_of(read: Callable[[], object]) -> str:
    with pytest.raises(InvalidMessage) as caught:
        read()
    return caught.value.code


def changed(content: RecordDict, **fields: Any) -> RecordDict:
    """The content with other fields in its head; one that is None is left out."""
    head = {**content.config_records["head"], **fields}
    kept = {name: value for name, value in head.items() if value is not None}
    return RecordDict({**content, "head": ConfigRecord(kept)})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back(kind: str) -> None:
    content, read, expected = KINDS[kind]
    assert read(content) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_with_other_fields_or_types_is_refused(kind: str) -> None:
    content, read, _ = KINDS[kind]
    for field in content.config_records["head"]:
        for value in (None, 1.5):
            assert code_of(partial(read, changed(content, **{field: value}))) == "wrong-schema"
    assert code_of(lambda: read(changed(content, surprise=1))) == "wrong-schema"
    assert code_of(lambda: read(changed(content, version=1))) == "wrong-version"
    more = RecordDict({**content, "body": ConfigRecord({})})
    assert code_of(lambda: read(more)) == "wrong-schema"


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("opening", {"study": "other"}, "wrong-study"),
        ("offers", {"study": "other"}, "wrong-study"),
        ("confirm", {"study": "other"}, "wrong-study"),
        ("reveal", {"study": "other"}, "wrong-study"),
        ("offer", {"offer": "{}"}, "wrong-statement"),
        ("offers", {"offers": "[]"}, "wrong-statement"),
        ("confirm", {"survivors": '["Ash"]'}, "wrong-statement"),
        ("reveal", {"signatures": '{"signatures":{"Ash":"00"}}'}, "wrong-statement"),
        ("deal", {"cells": b"12"}, "wrong-shape"),
        ("confirmation", {"signature": b"short"}, "wrong-shape"),
        ("confirmation", {"shares": b""}, "wrong-shape"),
        ("confirmation", {"turn": 2}, "stale-turn"),
        ("shares", {"shares": b"x"}, "wrong-shape"),
        ("shares", {"turn": 4}, "stale-turn"),
    ],
)
def test_a_field_that_says_something_else_is_refused(
    kind: str, fields: dict[str, Any], code: str
) -> None:
    content, read, _ = KINDS[kind]
    assert code_of(lambda: read(changed(content, **fields))) == code


def test_a_masked_instruction_carries_theta_and_the_call() -> None:
    content = masked_instruction_content(INSTRUCTION)
    read = read_masked_instruction(content, study=STUDY, dim=D)
    assert (read.study, read.call) == (STUDY, CALL)
    assert torch.equal(read.theta, INSTRUCTION.theta)
    for dim in (D - 1, D + 1):
        read_one = partial(read_masked_instruction, content, study=STUDY, dim=dim)
        assert code_of(read_one) == "wrong-shape"
    assert code_of(lambda: read_masked_instruction(content, study="other", dim=D)) == "wrong-study"
    call = changed(content, call=CALL.text + " ")
    assert code_of(lambda: read_masked_instruction(call, study=STUDY, dim=D)) == "wrong-statement"


def test_a_masked_input_is_one_vector_of_64_bit_words_and_the_turns_echo() -> None:
    content = input_content(CALL, WORDS)
    assert np.array_equal(read_input(content, call=CALL, dim=D), WORDS)
    assert set(content.config_records["head"]) == {
        "version",
        "turn",
        "round",
        "dtype",
        "vector",
    }
    for fields, code in (({"turn": 2}, "stale-turn"), ({"round": 6}, "stale-round")):
        spoilt = changed(content, **fields)
        assert code_of(partial(read_input, spoilt, call=CALL, dim=D)) == code
    assert code_of(lambda: read_input(content, call=CALL, dim=D + 1)) == "wrong-shape"
    spoilt = changed(content, dtype="float64")
    assert code_of(lambda: read_input(spoilt, call=CALL, dim=D)) == "wrong-dtype"
