"""What a site derives for a session, and what it seals for its peers.

All secrets of a session follow from one chain of keys: a link gives the secrets of its turn and the
next link, and is then forgotten. So the state on disk stays small, and whoever steals it learns
nothing of earlier turns.
"""

from typing import NamedTuple

from common.crypto import (
    TAG_BYTES,
    AgreementKey,
    derive,
    digest,
    framed,
    open_once,
    seal_once,
)
from common.privacy.masking.shamir import SHARE_BYTES
from common.privacy.masking.statements import PROTOCOL, TurnKeys

CELL_BYTES = 2 * SHARE_BYTES + TAG_BYTES
"""The size of a sealed pair of shares."""


class TurnSecrets(NamedTuple):
    """A site's secrets of one turn: s, its masking key, and b, the seed of its self-mask."""

    mask: bytes
    seed: bytes


def next_link(link: bytes) -> bytes:
    """Return the link of the turn after."""
    return derive(link, PROTOCOL, "link")


def turn_secrets(link: bytes) -> TurnSecrets:
    """Return the secrets of the link's turn."""
    return TurnSecrets(derive(link, PROTOCOL, "mask"), derive(link, PROTOCOL, "self-mask"))


def commitment(context: str, turn: int, site: str, seed: bytes) -> str:
    """Return what a site advertises of its self-mask's seed, to be checked when it is revealed."""
    return digest(PROTOCOL, "commitment", context, turn, site, seed).hex()


def turn_keys(context: str, turn: int, site: str, secrets: TurnSecrets) -> TurnKeys:
    """Return the public side of a turn's secrets."""
    return TurnKeys(
        mask=AgreementKey(secrets.mask).public.hex(),
        commitment=commitment(context, turn, site, secrets.seed),
    )


class Binding(NamedTuple):
    """What a mask belongs to; sites that were given another model share no mask."""

    context: str
    turn: int
    theta: str


def pair_key(own: AgreementKey, peer: bytes, binding: Binding, names: tuple[str, str]) -> bytes:
    """Return the key of the mask of two sites, named in the roster's order; both derive the same.

    Raises:
        CryptoError: the peer's key is no key.
    """
    return derive(own.shared(peer), PROTOCOL, "pair", *binding, *names)


def self_key(seed: bytes, binding: Binding, site: str) -> bytes:
    """Return the key of a site's own mask."""
    return derive(seed, PROTOCOL, "self", *binding, site)


class Cell(NamedTuple):
    """One peer's shares of a turn's two secrets of a site."""

    mask: bytes
    seed: bytes


class Route(NamedTuple):
    """Where a cell belongs: from whom, to whom, in which turn."""

    context: str
    turn: int
    source: str
    target: str


def seal_cell(shared: bytes, route: Route, cell: Cell) -> bytes:
    """Return the cell [148] sealed with what source and target share."""
    return seal_once(_cell_key(shared, route), cell.mask + cell.seed, framed(*route))


def open_cell(shared: bytes, route: Route, sealed: bytes) -> Cell:
    """Return what the source has sealed for the target.

    Raises:
        CryptoError: it does not open.
    """
    opened = open_once(_cell_key(shared, route), sealed, framed(*route))
    return Cell(opened[:SHARE_BYTES], opened[SHARE_BYTES:])


def _cell_key(shared: bytes, route: Route) -> bytes:
    return derive(shared, PROTOCOL, "cell", *route)
