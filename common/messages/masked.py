"""The phases of secure aggregation on the wire; what their texts mean is in `statements`.

A request names the study, and once there is one, the turn; a reply of a turn names the turn. Keys,
cells and shares are bytes; a masked vector is uint64, 8 bytes a parameter as without masks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import RecordDict
from torch import Tensor

from common.crypto import SIGNATURE_BYTES
from common.messages.frame import (
    Head,
    content_of,
    invalid,
    read_array,
    read_floats,
    read_head,
    require_same,
)
from common.messages.plain import Instruction
from common.privacy.masking.ring import Words
from common.privacy.masking.shamir import SHARE_BYTES
from common.privacy.masking.statements import Call, Hex64, Signed, SiteName, Statement
from common.privacy.masking.turns import Confirmation


class _Offers(Statement):
    offers: tuple[Signed, ...]


class _Survivors(Statement):
    survivors: tuple[SiteName, ...]


class _Signatures(Statement):
    signatures: Mapping[SiteName, Hex64]


@dataclass(frozen=True)
class MaskedInstruction:
    """What the server asks of a site in a turn: a masked update for `theta` [d]."""

    study: str
    call: Call
    theta: Tensor

    @property
    def instruction(self) -> Instruction:
        """The same without masks: what the update is made for."""
        return Instruction(self.study, self.call.round, self.theta)


@dataclass(frozen=True)
class ConfirmRequest:
    """Whose inputs the server means to add up; on the fast path with cells, else with none."""

    turn: int
    survivors: tuple[str, ...]
    cells: bytes


@dataclass(frozen=True)
class RevealRequest:
    """The survivors' signatures, and the cells whose shares are asked for."""

    turn: int
    signatures: dict[str, bytes]
    cells: bytes


def opening_content(study: str, context: str) -> RecordDict:
    """Return the request to join a session."""
    return content_of({"study": study, "context": context})


def read_opening(content: RecordDict, *, study: str) -> str:
    """Return the checked request's context.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = _request(content, study, {"context": str})
    return str(head["context"])


def offer_content(offer: Signed) -> RecordDict:
    """Return a site's answer: its advertisement."""
    return content_of({"offer": offer.text})


def read_offer(content: RecordDict) -> Signed:
    """Return the advertisement, not yet verified.

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    return Signed.read(str(read_head(content, {"offer": str})["offer"]))


def offers_content(study: str, offers: Sequence[Signed]) -> RecordDict:
    """Return the request to deal shares to those who have advertised."""
    return content_of({"study": study, "offers": _Offers(offers=tuple(offers)).text})


def read_offers(content: RecordDict, *, study: str) -> tuple[Signed, ...]:
    """Return the advertisements.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = _request(content, study, {"offers": str})
    return _Offers.read(str(head["offers"])).offers


def deal_content(cells: bytes) -> RecordDict:
    """Return a site's answer: its sealed cells."""
    return content_of({"cells": cells})


def read_deal(content: RecordDict, *, size: int) -> bytes:
    """Return the cells, `size` bytes in all.

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    return _bytes(read_head(content, {"cells": bytes})["cells"], size)


def masked_instruction_content(instruction: MaskedInstruction) -> RecordDict:
    """Return the message content of an instruction."""
    head = {"study": instruction.study, "call": instruction.call.text}
    return content_of({**head}, instruction.theta.detach().float().numpy())


def read_masked_instruction(content: RecordDict, *, study: str, dim: int) -> MaskedInstruction:
    """Return the checked instruction, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = _request(content, study, {"call": str}, vector=True)
    call, theta = Call.read(str(head["call"])), read_floats(content, dim=dim)
    return MaskedInstruction(str(head["study"]), call, theta)


def input_content(call: Call, words: Words) -> RecordDict:
    """Return the message content of a site's masked input [d]."""
    return content_of({"turn": call.deck.turn, "round": call.round}, words)


def read_input(content: RecordDict, *, call: Call, dim: int) -> Words:
    """Return the masked input [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another turn or round.
    """
    head = read_head(content, {"turn": int, "round": int}, vector=True)
    require_same(head["turn"], call.deck.turn, "stale-turn", "the input is of another turn")
    require_same(head["round"], call.round, "stale-round", "the input is of another round")
    words: Words = read_array(content, dim=dim, dtype=np.uint64)
    return words


def confirm_content(study: str, request: ConfirmRequest) -> RecordDict:
    """Return the request to sign whose inputs are added up."""
    survivors = _Survivors(survivors=request.survivors).text
    head: Head = {"turn": request.turn, "survivors": survivors, "cells": request.cells}
    return content_of({"study": study, **head})


def read_confirm(content: RecordDict, *, study: str) -> ConfirmRequest:
    """Return the request.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = _request(content, study, {"turn": int, "survivors": str, "cells": bytes})
    survivors = _Survivors.read(str(head["survivors"])).survivors
    return ConfirmRequest(int(head["turn"]), survivors, _bytes(head["cells"]))


def confirmation_content(turn: int, answer: Confirmation) -> RecordDict:
    """Return a site's answer: its signature, and on the fast path its shares."""
    return content_of({"turn": turn, "signature": answer.signature, "shares": answer.shares})


def read_confirmation(content: RecordDict, *, turn: int, shares: int) -> Confirmation:
    """Return the answer with so many shares, the signature not yet verified.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another turn.
    """
    head = read_head(content, {"turn": int, "signature": bytes, "shares": bytes})
    require_same(head["turn"], turn, "stale-turn", "the answer is of another turn")
    signature = _bytes(head["signature"], SIGNATURE_BYTES)
    return Confirmation(signature, _bytes(head["shares"], shares * SHARE_BYTES))


def reveal_content(study: str, request: RevealRequest) -> RecordDict:
    """Return the request for the shares of a turn with dropouts."""
    signatures = {name: signature.hex() for name, signature in request.signatures.items()}
    text = _Signatures(signatures=signatures).text
    head: Head = {"turn": request.turn, "signatures": text, "cells": request.cells}
    return content_of({"study": study, **head})


def read_reveal(content: RecordDict, *, study: str) -> RevealRequest:
    """Return the request.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = _request(content, study, {"turn": int, "signatures": str, "cells": bytes})
    given = _Signatures.read(str(head["signatures"])).signatures
    signatures = {name: bytes.fromhex(signature) for name, signature in given.items()}
    return RevealRequest(int(head["turn"]), signatures, _bytes(head["cells"]))


def shares_content(turn: int, shares: bytes) -> RecordDict:
    """Return a site's answer: one share for each site that was asked."""
    return content_of({"turn": turn, "shares": shares})


def read_shares(content: RecordDict, *, turn: int, shares: int) -> bytes:
    """Return the answer's shares, so many of them.

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another turn.
    """
    head = read_head(content, {"turn": int, "shares": bytes})
    require_same(head["turn"], turn, "stale-turn", "the answer is of another turn")
    return _bytes(head["shares"], shares * SHARE_BYTES)


def _request(
    content: RecordDict, study: str, keys: dict[str, type], *, vector: bool = False
) -> Head:
    head = read_head(content, {"study": str, **keys}, vector=vector)
    require_same(head["study"], study, "wrong-study", "the server runs another study")
    return head


def _bytes(value: object, size: int | None = None) -> bytes:
    if not isinstance(value, bytes) or (size is not None and len(value) != size):
        raise invalid("wrong-shape", "keys, cells or shares are not as many as they have to be")
    return value
