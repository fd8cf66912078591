"""Every decoder that faces the network: what it reads, a valid input, the errors it declares."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.task_identity import TaskIdentity

from client.join.line import _refused
from common import messages
from common.certificates import NodeKey, fingerprint, flower_form, make_authority, verify_node
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
from common.errors import InvalidMessage, RunFolderError, SettingsError
from common.invitation import Invitation
from common.messages import masked, votes
from common.messages.wire import Unreadable, read_message
from common.privacy.histograms import CELLS
from common.privacy.masking.keys import Cell, Route, open_cell, seal_cell
from common.privacy.masking.roster import Roster, SignedRoster, lasting_sites, read_roster
from common.privacy.masking.shamir import combine, split
from common.privacy.masking.statements import Call, Card, Deck, Statement, signed
from common.privacy.masking.turns import Confirmation
from common.publication.manifest import Manifest, read_part, spelled
from common.publication.manifest import Signature as PublishedSignature
from common.study import make_study, read_study, study_toml
from server.coordinator.replies import UnreadableReply, read_reply
from tests.conftest import ward_settings
from tests.coordinating import NOON

Raised = tuple[type[Exception], ...]
HEX, DIM = "ab" * 32, 3


class Decoder(NamedTuple):
    """What is called with bytes, a valid input of it, and what it may raise."""

    read: Callable[[bytes], object]
    valid: bytes
    raises: Raised


def text(read: Callable[[str], object], valid: str, raises: Raised) -> Decoder:
    """Return the decoder of a text; bytes that are none are refused before it."""
    return Decoder(lambda raw: read(raw.decode("utf-8", "replace")), valid.encode(), raises)


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
STUDY = make_study(ward_settings() | {"sites": [{"name": "Ash"}]}, where="fuzz")
THETA = torch.zeros(DIM)


def _in_a_field(content: RecordDict, read: Callable[[RecordDict], object]) -> Decoder:
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


def _messages() -> Mapping[str, Decoder]:
    told = messages.Instruction("s", 1, THETA)
    asked = masked.MaskedInstruction("s", CALL, THETA)
    words = np.zeros(DIM, np.uint64)
    ballot = votes.VotesRequest("s", 1, "t", THETA)
    return {
        "greeting": _in_a_field(
            messages.greeting_content(messages.Greeting("Ash", "s")), messages.read_greeting
        ),
        "instruction": _in_a_field(
            messages.instruction_content(told), lambda c: messages.read_instruction(c, dim=DIM)
        ),
        "update": _in_a_field(
            messages.update_content("s", 1, THETA),
            lambda c: messages.read_update(c, study="s", round_index=1, dim=DIM, max_norm=9.0),
        ),
        "masked instruction": _in_a_field(
            masked.masked_instruction_content(asked),
            lambda c: masked.read_masked_instruction(c, study="s", dim=DIM),
        ),
        "masked input": _in_a_field(
            masked.input_content(CALL, words), lambda c: masked.read_input(c, call=CALL, dim=DIM)
        ),
        "offer": _in_a_field(
            masked.offer_content(signed(JOINING, IDENTITY, JOIN)), masked.read_offer
        ),
        "offers": _in_a_field(
            masked.offers_content("s", [signed(JOINING, IDENTITY, JOIN)]),
            lambda c: masked.read_offers(c, study="s"),
        ),
        "deal": _in_a_field(masked.deal_content(b"1234"), lambda c: masked.read_deal(c, size=4)),
        "confirm": _in_a_field(
            masked.confirm_content("s", masked.ConfirmRequest(1, ("Ash",), b"")),
            lambda c: masked.read_confirm(c, study="s"),
        ),
        "confirmation": _in_a_field(
            masked.confirmation_content(1, Confirmation(b"s" * 64, b"a" * 66)),
            lambda c: masked.read_confirmation(c, turn=1, shares=1),
        ),
        "opening": _in_a_field(
            masked.opening_content("s", HEX), lambda c: masked.read_opening(c, study="s")
        ),
        "votes request": _in_a_field(
            votes.votes_request_content(ballot),
            lambda c: votes.read_votes_request(c, study="s", dim=DIM),
        ),
        "masked votes request": _in_a_field(
            votes.masked_votes_request_content(votes.MaskedVotesRequest(CALL, ballot)),
            lambda c: votes.read_masked_votes_request(c, study="s", dim=DIM),
        ),
        "votes": _in_a_field(
            votes.votes_content(ballot, np.zeros(CELLS, np.int64)),
            lambda c: votes.read_votes(c, request=ballot),
        ),
        "reveal": _in_a_field(
            masked.reveal_content("s", masked.RevealRequest(1, {"Ash": b"a" * 64}, b"")),
            lambda c: masked.read_reveal(c, study="s"),
        ),
        "shares": _in_a_field(
            masked.shares_content(1, b"a" * 66), lambda c: masked.read_shares(c, turn=1, shares=1)
        ),
    }


def _objects() -> Mapping[str, Decoder]:
    """Return the decoders of a message and a reply, one of whose objects is the bytes."""
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    content = messages.update_content("s", 1, THETA)
    made = Message(content, 1, "train.update")
    parts = {name: part.deflate() for name, part in get_all_nested_objects(made).items()}
    names, top = sorted(parts), made.object_id

    tree = ObjectTree(object_id=top, children=[ObjectTree(object_id=n) for n in names])

    def objects(raw: bytes) -> dict[str, bytes]:
        return parts | {names[(raw[0] if raw else 0) % len(names)]: raw[1:] or b"x"}

    valid = bytes([names.index(top)]) + parts[top]
    return {
        "objects of a message": Decoder(
            lambda raw: read_message(top, objects(raw)), valid, (Unreadable,)
        ),
        "objects of a reply": Decoder(
            lambda raw: read_reply(tree, objects(raw).__getitem__), valid, (UnreadableReply,)
        ),
    }


def _keys() -> Mapping[str, Decoder]:
    route = Route(HEX, 1, "Ash", "Birch")
    shares = split(b"a" * 32, threshold=2, positions=[1, 2], below=lambda bound: 5 % bound)
    sealed = seal_cell(b"k" * 32, route, Cell(shares[0], shares[1]))
    proof = NODE.sign(JOIN, "text")
    return {
        "sealed cell": Decoder(
            lambda raw: open_cell(b"k" * 32, route, raw), sealed, (InvalidMessage,)
        ),
        "share": Decoder(
            lambda raw: combine({1: raw[:66], 2: shares[1]}), shares[0], (InvalidMessage,)
        ),
        "agreement key": Decoder(
            lambda raw: PEER.shared(raw[:32].ljust(32, b"\x00")), b"a" * 32, (InvalidMessage,)
        ),
        "certificate": Decoder(fingerprint, AUTHORITY.certificate, (InvalidMessage,)),
        "node key": text(flower_form, NODE.public, (InvalidMessage,)),
        "node signature": Decoder(
            lambda raw: verify_node(NODE.public, raw, JOIN, "text"), proof, (InvalidMessage,)
        ),
    }


def decoders(folder: Path) -> Mapping[str, Decoder]:
    """Return all, by name; folder: where files may be written."""
    file = folder / "study.toml"

    def study(raw: bytes) -> object:
        file.write_bytes(raw)
        return read_study(file)

    roster = SignedRoster(roster=ROSTER, signatures={"Ash": HEX * 2})
    sealed = Manifest(
        study=HEX, name="a", finished=True, rounds=1, planned=1, created="", versions={}, files={}
    ).sealed()
    signature = PublishedSignature(key=HEX, signature=HEX * 2)
    code = Invitation("a.example:8443", HEX, b"s" * 20).code
    by_kind = {
        f"statement {type(one).__name__}": text(type(one).read, one.text, (InvalidMessage,))
        for one in STATEMENTS
    }
    return {
        **by_kind,
        **_messages(),
        **_keys(),
        **_objects(),
        "invitation": text(Invitation.read, code, (SettingsError,)),
        "study": Decoder(study, study_toml(STUDY).encode(), (SettingsError,)),
        "roster": text(
            lambda t: read_roster(t, where="a"), roster.model_dump_json(), (SettingsError,)
        ),
        "manifest": Decoder(Manifest.read, sealed.text, (RunFolderError,)),
        "published signature": Decoder(
            lambda raw: read_part(PublishedSignature, raw, "a"),
            spelled(signature),
            (RunFolderError,),
        ),
        "complaint of a coordinator": Decoder(
            lambda raw: _refused(403, raw, "a"), b'{"code":"no"}', ()
        ),
    }
