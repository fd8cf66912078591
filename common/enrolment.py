"""What a hospital and a coordinator say to each other when one joins: texts, and who signs them.

Each text names the coordinator's certificate authority, so that none can be used at another one.

    Application     secret of the invitation + a Join, signed by identity and node key
    Rotation        a new node key in the place of the old one, signed by identity and the new key
    Question        "give me the study", "give me the roster": signed by the identity, for minutes
    Receipt         what the coordinator answers to a join or a rotation, signed with its key
"""

from typing import Annotated, Literal

from pydantic import Field

from common.certificates import NodeKey, verify_node
from common.crypto import SigningKey, digest, verify
from common.invitation import Invitation
from common.privacy.masking.statements import Count, Hex32, Hex64, SiteName, Statement

_PROTOCOL = "wardround/enrolment/v1"
JOIN, ROTATE, ASK, RECEIPT = (
    f"{_PROTOCOL}/{what}" for what in ("join", "rotate", "ask", "receipt")
)
"""The labels of signatures: one for each thing that a signature can mean."""

SMALL_BODY = 64 * 1024
"""No text of an enrolment is longer, in bytes; rosters and studies may be."""
SCHEME = "Wardround"
"""Of the Authorization header that carries a signed question, base64 for URLs."""
FRESH_S = 300
"""A question is answered for so long, in seconds, by either clock."""

NodePublic = Annotated[str, Field(pattern="^ecdsa-sha2-nistp384 [A-Za-z0-9+/=]{100,300}$")]
NodeSignature = Annotated[str, Field(pattern="^([0-9a-f]{2}){8,110}$")]
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$")]
Secret = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class Join(Statement):
    """A hospital's wish to join. invitation: hash of its secret. identity: Ed25519, public."""

    version: Literal[1] = 1
    authority: Hex32
    invitation: Hex32
    site: SiteName
    identity: Hex32
    node: NodePublic


class Rotation(Statement):
    """A hospital's new node key. old: the key in use, so that no rotation can be used again."""

    version: Literal[1] = 1
    authority: Hex32
    site: SiteName
    old: NodePublic
    new: NodePublic


class Proven(Statement):
    """A text, and the signatures of both private keys of which it names the public ones."""

    statement: str
    identity: Hex64
    node: NodeSignature

    def check(self, identity: str, node: str, label: str) -> None:
        """Return if both keys have signed the text under that label.

        Raises:
            CryptoError: one has not.
        """
        verify(bytes.fromhex(identity), bytes.fromhex(self.identity), label, self.statement)
        verify_node(node, bytes.fromhex(self.node), label, self.statement)


class Application(Statement):
    """A Join with the secret that the invitation carried."""

    secret: Secret
    join: Proven


class Question(Statement):
    """A site asks for something. what: the path. asked: Unix time, seconds."""

    version: Literal[1] = 1
    authority: Hex32
    site: SiteName
    what: Annotated[str, Field(max_length=80)]
    asked: Count


class Receipt(Statement):
    """The coordinator has done what a text asked for. request: that text's hash.

    key: the public key that signs its studies. fleet: host:port of Flower's fleet address.
    registered: whether Flower knows the node key already; if not, it will when it is up.
    """

    version: Literal[1] = 1
    request: Hex32
    site: SiteName
    federation: SiteName
    key: Hex32
    fleet: Address
    registered: bool


class SignedStudyText(Statement):
    """A study file and its seal, as they are written to a hospital's folder."""

    study: str
    seal: str


class RosterVote(Statement):
    """One hospital's signature of a roster; the roster is named by its hash."""

    roster: Hex32
    site: SiteName
    signature: Hex64


class Complaint(Statement):
    """Why a coordinator refuses: a short code, and words for people."""

    code: Annotated[str, Field(max_length=40)]
    what: Annotated[str, Field(max_length=300)]
    remedy: Annotated[str, Field(max_length=300)]


def apply(invitation: Invitation, site: str, identity: SigningKey, node: NodeKey) -> Application:
    """Return a site's application to join by an invitation, under both of its keys."""
    wish = Join(
        authority=invitation.authority,
        invitation=invitation.hash,
        site=site,
        identity=identity.public.hex(),
        node=node.public,
    )
    proven = prove(wish, identity, node, JOIN)
    return Application(secret=invitation.secret.hex(), join=proven)


def prove(statement: Statement, identity: SigningKey, node: NodeKey, label: str) -> Proven:
    """Return a statement under the signatures of both keys."""
    text = statement.text
    return Proven(
        statement=text, identity=identity.sign(label, text).hex(), node=node.sign(label, text).hex()
    )


def request_hash(text: str) -> str:
    """Return what a receipt names a request by."""
    return digest(_PROTOCOL, "request", text).hex()
