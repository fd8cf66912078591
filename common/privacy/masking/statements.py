"""What is said in secure aggregation, as canonical JSON texts, and what of it is signed.

A text is canonical if it is the one that `text` would write: a signature then covers a meaning and
not a spelling. Keys, commitments and hashes are lowercase hexadecimal digits.
"""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.crypto import SigningKey, digest, verify
from common.errors import InvalidMessage

PROTOCOL = "wardround/secagg/v1"
ADVERTISE, CONFIRM, ROSTER = (f"{PROTOCOL}/{phase}" for phase in ("advertise", "confirm", "roster"))
"""The labels of signatures: one for each thing that a signature can mean."""

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{128}$")]
SiteName = Annotated[str, Field(min_length=1, max_length=80)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


class Statement(BaseModel):
    """Something that is said: immutable, strictly typed, with one text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @property
    def text(self) -> str:
        """The canonical JSON: keys sorted, no blanks."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the statement with this text.

        Raises:
            InvalidMessage: the text is not a canonical statement of this kind.
        """
        try:
            read = cls.model_validate_json(text)
        except ValidationError as error:
            raise violation("wrong-statement", f"a text is no {cls.__name__.lower()}") from error
        if read.text != text:
            raise violation("wrong-statement", "a statement is not in its canonical form")
        return read


class Signed(Statement):
    """A statement's text and its author's signature."""

    statement: str
    signature: Hex64

    def check(self, public: bytes, label: str) -> None:
        """Return if the signature is that key's, under that label.

        Raises:
            CryptoError: it is not.
        """
        verify(public, bytes.fromhex(self.signature), label, self.statement)


def signed(statement: Statement, key: SigningKey, label: str) -> Signed:
    """Return the statement under the key's signature."""
    return Signed(statement=statement.text, signature=key.sign(label, statement.text).hex())


class Context(Statement):
    """A session: who may take part, and all that must not differ between those who do.

    cohort: names in the order of the roster. threshold: the t of t-out-of-k, k the cohort's size.
    opened: when, in milliseconds of Unix time; a site joins later ones only.
    """

    version: Literal[1] = 1
    federation: str
    study: Hex32
    roster: Hex32
    cohort: tuple[SiteName, ...]
    threshold: Count
    turns: Count
    dim: Count
    opened: Count
    fast_path: bool
    scale_bits: Literal[32] = 32
    ring_bits: Literal[64] = 64

    @property
    def id(self) -> str:
        """The hash that enters every signature, key and seal of the session."""
        return digest(PROTOCOL, self.text).hex()


class TurnKeys(Statement):
    """What a site advertises for one turn: its masking key, and a commitment to its self-mask."""

    mask: Hex32
    commitment: Hex32


class Advertisement(Statement):
    """A site's public keys for a session: one to seal shares with, and those of each turn."""

    context: Hex32
    site: SiteName
    seal: Hex32
    turns: tuple[TurnKeys, ...]


class Card(Statement):
    """One site's public values of one turn."""

    site: SiteName
    seal: Hex32
    mask: Hex32
    commitment: Hex32


class Deck(Statement):
    """All members' cards of one turn; a site remembers the digest of each turn's."""

    context: Hex32
    turn: Count
    cards: tuple[Card, ...]

    @property
    def digest(self) -> str:
        """The hash that stands for all keys of the turn."""
        return digest(PROTOCOL, "deck", self.text).hex()

    def of(self, site: str) -> Card:
        """Return the site's card."""
        return next(card for card in self.cards if card.site == site)


class Call(Statement):
    """The request for masked inputs: a turn serves one attempt at a round. asked: U1."""

    deck: Deck
    round: Count
    asked: tuple[SiteName, ...]


class Survival(Statement):
    """The one thing that a site signs in a turn: whose inputs are added up, and under what.

    deck stands for the keys of all; asked is U1, survivors U2; theta is the hash of the model.
    """

    context: Hex32
    turn: Count
    round: Count
    deck: Hex32
    theta: Hex32
    asked: tuple[SiteName, ...]
    survivors: tuple[SiteName, ...]


def canonical(value: object) -> str:
    """Return the one JSON text of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def deck_of(context: Context, advertisements: tuple[Advertisement, ...], turn: int) -> Deck:
    """Return the cards of one turn, in the order of the advertisements."""
    cards = (Card(site=a.site, seal=a.seal, **a.turns[turn].model_dump()) for a in advertisements)
    return Deck(context=context.id, turn=turn, cards=tuple(cards))


def theta_digest(data: bytes) -> str:
    """Return the hash that stands for a model, float32 in one flat array."""
    return digest(PROTOCOL, "theta", data).hex()


def violation(code: str, what: str) -> InvalidMessage:
    """Return the error of a message that breaks the protocol."""
    return InvalidMessage(
        code,
        what,
        where="secure aggregation",
        remedy="the session is given up; find out who sent it before the next one",
    )
