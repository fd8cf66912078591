"""Texts of an enrolment: both keys have signed them, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.certificates import NodeKey
from common.crypto import SigningKey
from common.enrolment import (
    JOIN,
    ROTATE,
    Application,
    Complaint,
    Join,
    Proven,
    Question,
    Receipt,
    RosterVote,
    Rotation,
    prove,
    request_hash,
)
from common.errors import CryptoError, InvalidMessage

IDENTITY, NODE = SigningKey(bytes(32)), NodeKey.new()
WISH = Join(
    authority="aa" * 32,
    invitation="bb" * 32,
    site="Ash",
    identity=IDENTITY.public.hex(),
    node=NODE.public,
)
TEXTS = (Application, Complaint, Join, Proven, Question, Receipt, RosterVote, Rotation)


def test_what_both_keys_have_signed_holds() -> None:
    proven = prove(WISH, IDENTITY, NODE, JOIN)
    Proven.read(proven.text).check(WISH.identity, WISH.node, JOIN)
    assert Join.read(proven.statement) == WISH


def test_a_wrong_key_a_wrong_label_or_a_changed_text_does_not() -> None:
    proven = prove(WISH, IDENTITY, NODE, JOIN)
    changed = proven.model_copy(update={"statement": proven.statement.replace("Ash", "Elm")})
    for one, identity, node, label in (
        (changed, WISH.identity, WISH.node, JOIN),
        (proven, SigningKey(b"1" * 32).public.hex(), WISH.node, JOIN),
        (proven, WISH.identity, NodeKey.new().public, JOIN),
        (proven, WISH.identity, WISH.node, ROTATE),
    ):
        with pytest.raises(CryptoError):
            one.check(identity, node, label)


def test_a_receipt_names_one_request() -> None:
    assert request_hash(WISH.text) != request_hash(WISH.text + " ")


@pytest.mark.parametrize("kind", TEXTS)
@given(
    text=st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_whatever_is_no_such_text_raises_one_kind_of_error(kind: type, text: str) -> None:
    with pytest.raises(InvalidMessage):
        kind.read(text)  # type: ignore[attr-defined]
