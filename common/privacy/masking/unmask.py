"""The coordinator's part in secure aggregation: from masked inputs and shares to the sum.

What it is given is checked against what was advertised: a wrong share costs time, not the sum.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from common.crypto import AgreementKey
from common.errors import CryptoError
from common.privacy.masking.keys import Binding, commitment, pair_key, self_key
from common.privacy.masking.ring import Words, mask_stream
from common.privacy.masking.shamir import SHARE_BYTES, combine
from common.privacy.masking.statements import Deck, Survival, violation

MAX_TRIES = 2000
"""So many sets of shares are tried for a secret. With one wrong share in a hundred, three will do;
with five, several hundred."""


Fits = Callable[[bytes], bool]


class Shares(NamedTuple):
    """The shares that came: by owner, and then by the position of the site that revealed it."""

    of: Mapping[str, Mapping[int, bytes]]

    @classmethod
    def read(cls, replies: Mapping[int, bytes], asked: Sequence[str]) -> "Shares":
        """Return the shares in the replies [asked, 66] of sites, by their position."""
        size, of = SHARE_BYTES, dict[str, dict[int, bytes]]()
        for i, owner in enumerate(asked):
            of[owner] = {x: reply[i * size : (i + 1) * size] for x, reply in replies.items()}
        return cls(of)


def recover(shares: Mapping[int, bytes], threshold: int, fits: Fits) -> bytes:
    """Return the secret [32] that some `threshold` of the shares give and that fits.

    Raises:
        InvalidMessage: there are too few shares, or too many wrong ones.
    """
    for chosen in _subsets(sorted(shares), threshold):
        try:
            secret = combine({x: shares[x] for x in chosen})
        except CryptoError:
            continue
        if fits(secret):
            return secret
    raise violation("bad-shares", f"{len(shares)} shares do not give a secret back")


def _subsets(positions: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """Yield subsets of the positions: all if they are few, else random ones after the first."""
    if len(positions) < size:
        return
    if comb(len(positions), size) <= MAX_TRIES:
        yield from combinations(positions, size)
        return
    rng = random.Random(0)  # noqa: S311, only the order in which subsets are tried depends on it
    yield tuple(positions[:size])
    for _ in range(MAX_TRIES):
        yield tuple(sorted(rng.sample(positions, size)))


@dataclass(frozen=True)
class Evidence:
    """What the coordinator has of a turn when it has closed.

    shares: of the self-mask of each survivor, and of the masking key of each site that dropped out.
    """

    survival: Survival
    deck: Deck
    shares: Shares
    threshold: int

    @property
    def binding(self) -> Binding:
        """What all masks of the turn belong to."""
        return Binding(self.survival.context, self.survival.turn, self.survival.theta)

    def seed(self, site: str) -> bytes:
        """Return the seed of a survivor's self-mask."""
        context, turn, _ = self.binding
        expected = self.deck.of(site).commitment
        return recover(
            self.shares.of[site],
            self.threshold,
            lambda seed: commitment(context, turn, site, seed) == expected,
        )

    def key(self, site: str) -> AgreementKey:
        """Return the masking key of a site that dropped out."""
        expected = bytes.fromhex(self.deck.of(site).mask)
        fits: Fits = lambda secret: AgreementKey(secret).public == expected  # noqa: E731
        return AgreementKey(recover(self.shares.of[site], self.threshold, fits))


def unmask(inputs: Mapping[str, Words], evidence: Evidence) -> Words:
    """Return the sum modulo 2^64 of the survivors' vectors [d], exactly.

    inputs: the masked vector [d] of each survivor.

    Raises:
        InvalidMessage: a secret cannot be put together.
    """
    survival = evidence.survival
    total: Words = np.zeros_like(inputs[survival.survivors[0]])
    for site in survival.survivors:
        total += inputs[site]
        total -= mask_stream(self_key(evidence.seed(site), evidence.binding, site), len(total))
    for site in survival.asked:
        if site not in survival.survivors:
            _take_off(total, site, evidence)
    return total


def _take_off(total: Words, lost: str, evidence: Evidence) -> None:
    """Take off what the survivors have added for the masks that they share with a lost site."""
    own, rank = evidence.key(lost), evidence.survival.asked.index
    for site in evidence.survival.survivors:
        earlier = rank(site) < rank(lost)
        names = (site, lost) if earlier else (lost, site)
        peer = bytes.fromhex(evidence.deck.of(site).mask)
        stream = mask_stream(pair_key(own, peer, evidence.binding, names), len(total))
        change = np.subtract if earlier else np.add  # the reverse of what the survivor did
        change(total, stream, out=total)
