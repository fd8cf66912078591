"""Every decoder that faces the network: what it reads, a valid input, the errors it declares."""

from collections.abc import Callable, Mapping
from pathlib import Path

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.task_identity import TaskIdentity

from client.join.line import _refused
from common import messages
from common.certificates import fingerprint, flower_form, verify_node
from common.enrolment import JOIN
from common.errors import InvalidMessage, RunFolderError, SettingsError
from common.invitation import Invitation
from common.messages.wire import NoMessage, read_message
from common.privacy.masking.keys import Cell, Route, open_cell, seal_cell
from common.privacy.masking.roster import SignedRoster, read_roster
from common.privacy.masking.shamir import combine, split
from common.publication.manifest import Manifest, read_part, spelled
from common.publication.manifest import Signature as PublishedSignature
from common.study import make_study, read_study, study_toml
from server.coordinator.replies import UnreadableReply, read_reply
from tests.conftest import ward_settings
from tests.fuzz.inputs import AUTHORITY, HEX, NODE, PEER, ROSTER, STATEMENTS, THETA, Decoder, Raised
from tests.fuzz.messages import masked_messages, plain_messages, vote_messages

STUDY = make_study(ward_settings() | {"sites": [{"name": "Ash"}]}, where="fuzz")


def text(read: Callable[[str], object], valid: str, raises: Raised) -> Decoder:
    """Return the decoder of a text; bytes that are none are refused before it."""
    return Decoder(lambda raw: read(raw.decode("utf-8", "replace")), valid.encode(), raises)


def objects_of() -> Mapping[str, Decoder]:
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
            lambda raw: read_message(top, objects(raw)), valid, (NoMessage,)
        ),
        "objects of a reply": Decoder(
            lambda raw: read_reply(tree, objects(raw).__getitem__), valid, (UnreadableReply,)
        ),
    }


def keys() -> Mapping[str, Decoder]:
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


def files(folder: Path) -> Mapping[str, Decoder]:
    """Return the decoders of files; folder: where one may be written."""
    file = folder / "study.toml"

    def study(raw: bytes) -> object:
        file.write_bytes(raw)
        return read_study(file)

    roster = SignedRoster(roster=ROSTER, signatures={"Ash": HEX * 2}).model_dump_json()
    manifest = Manifest(
        study=HEX, name="a", finished=True, rounds=1, planned=1, created="", versions={}, files={}
    )
    signature = spelled(PublishedSignature(key=HEX, signature=HEX * 2))
    return {
        "study": Decoder(study, study_toml(STUDY).encode(), (SettingsError,)),
        "roster": text(lambda t: read_roster(t, where="a"), roster, (SettingsError,)),
        "manifest": Decoder(Manifest.read, manifest.sealed().text, (RunFolderError,)),
        "published signature": Decoder(
            lambda raw: read_part(PublishedSignature, raw, "a"), signature, (RunFolderError,)
        ),
    }


def texts() -> Mapping[str, Decoder]:
    code = Invitation("a.example:8443", HEX, b"s" * 20).code
    return {
        **{
            f"statement {type(one).__name__}": text(type(one).read, one.text, (InvalidMessage,))
            for one in STATEMENTS
        },
        "invitation": text(Invitation.read, code, (SettingsError,)),
        "complaint of a coordinator": Decoder(
            lambda raw: _refused(403, raw, "a"), b'{"code":"no"}', ()
        ),
    }


def decoders(folder: Path) -> Mapping[str, Decoder]:
    """Return all, by name; folder: where files may be written."""
    return {
        **texts(),
        **plain_messages(),
        **masked_messages(),
        **vote_messages(),
        **keys(),
        **objects_of(),
        **files(folder),
    }
