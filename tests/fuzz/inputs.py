"""What a decoder is, and what valid inputs of several are made of: keys, statements, theta."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import torch

from common.certificates import NodeKey, make_authority
from common.crypto import AgreementKey, SigningKey, fresh_key
from common.enrolment import (
    JOIN,
    Application,
    Complaint,
    Join,
    Question,
    Receipt,
    RosterVote,
    Rotation,
    SignedStudyText,
    prove,
)
from common.privacy.masking.roster import Roster, lasting_sites
from common.privacy.masking.statements import Call, Card, Deck, Statement, signed
from tests.coordinating import NOON

Raised = tuple[type[Exception], ...]
HEX, DIM = "ab" * 32, 3


class Decoder(NamedTuple):
    """What is called with bytes, a valid input of it, and what it may raise."""

    read: Callable[[bytes], object]
    valid: bytes
    raises: Raised


NODE, IDENTITY, PEER = NodeKey.new(), SigningKey(fresh_key()), AgreementKey(fresh_key())
AUTHORITY = make_authority("fuzz", now=datetime.fromtimestamp(NOON, UTC))
JOINING = Join(
    authority=HEX, invitation=HEX, site="Ash", identity=IDENTITY.public.hex(), node=NODE.public
)
PROVEN = prove(JOINING, IDENTITY, NODE, JOIN)
CALL = Call(
    deck=Deck(context=HEX, turn=1, cards=(Card(site="Ash", seal=HEX, mask=HEX, commitment=HEX),)),
    round=1,
    asked=("Ash",),
)
ROSTER = Roster(federation="wards", epoch=1, sites=lasting_sites({"Ash": IDENTITY}, {"Ash": 1.0}))
STATEMENTS: tuple[Statement, ...] = (
    JOINING,
    PROVEN,
    Application(secret="ab" * 20, join=PROVEN),
    Rotation(authority=HEX, site="Ash", old=NODE.public, new=NODE.public),
    Question(authority=HEX, site="Ash", what="/enrol/study", asked=1),
    Receipt(
        request=HEX, site="Ash", federation="wards", key=HEX, fleet="a.example:1", registered=True
    ),
    SignedStudyText(study="schema = 1", seal="{}"),
    RosterVote(roster=HEX, site="Ash", signature=HEX * 2),
    Complaint(code="no", what="no", remedy="no"),
    signed(JOINING, IDENTITY, JOIN),
    CALL,
)
THETA = torch.zeros(DIM)
