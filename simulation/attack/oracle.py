"""What a coordinator can compute from all that it was told: every sum that comes out right.

It is given more than any real one has: it tries every set of masked inputs of a turn, with every
secret that enough shares give back, that a colluder has, or that it has planted itself.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from typing import Literal

import numpy as np

from common.crypto import AgreementKey, derive
from common.errors import InvalidMessage
from common.privacy.masking.keys import (
    CELL_BYTES,
    Binding,
    Route,
    TurnSecrets,
    next_link,
    open_cell,
    pair_key,
    self_key,
    turn_secrets,
)
from common.privacy.masking.ring import Words, mask_stream
from common.privacy.masking.shamir import SHARE_BYTES
from common.privacy.masking.statements import PROTOCOL, Advertisement, Call
from common.privacy.masking.unmask import recover
from simulation.attack.stage import Join, Masked, Stage

Owner = tuple[str, int, str]
"""A context, a turn, a site."""
Pair = tuple[str, str, Binding, tuple[str, str]]
"""A mask of two sites: both public keys, what it is bound to, their names."""
Kind = Literal["mask", "seed"]
Known = tuple[Owner, Kind, int, bytes]
"""A share: of whose secret, of which kind, dealt to the site at which position."""


@dataclass(frozen=True)
class Oracle:
    """What can be computed of a stage."""

    stage: Stage

    def broken(self) -> bool:
        """Return whether the coordinator learns more than one sum over enough honest sites.

        Enough are t - f: so many are in every sum that the protocol itself makes. Two sums of one
        round tell their difference.
        """
        known, stage = self.known_sums(), self.stage
        least = self._threshold - len(stage.colluders)
        few = any(len(honest) < least for _, honest in known)
        rounds = Counter(round_index for round_index, _ in known)
        return few or any(count > 1 for count in rounds.values())

    def known_sums(self) -> set[tuple[int, frozenset[str]]]:
        """Return the honest sites, by round, of every sum that the coordinator can compute."""
        found = set()
        for inputs in self._turns():
            for chosen in _subsets(inputs):
                if self._computes(chosen):
                    found |= self._learned(chosen)
        return found

    def _learned(self, chosen: tuple[Masked, ...]) -> set[tuple[int, frozenset[str]]]:
        """Return the honest sites that a sum is about.

        Of sites that were given different models these are several sums: a model can be such that
        its sites' updates are known beforehand (Pasquini et al. 2022).
        """
        honest = [m for m in chosen if m.site not in self.stage.colluders]
        models = {m.theta for m in honest}
        return {
            (chosen[0].call.round, frozenset(m.site for m in honest if m.theta == model))
            for model in models
        }

    @property
    def _threshold(self) -> int:
        return 2 * len(self.stage.names) // 3 + 1

    def _turns(self) -> Iterator[list[Masked]]:
        """Yield the inputs of each turn."""
        by_turn: dict[tuple[str, int], list[Masked]] = {}
        for masked in self.stage.masked:
            deck = masked.call.deck
            by_turn.setdefault((deck.context, deck.turn), []).append(masked)
        yield from by_turn.values()

    def _computes(self, chosen: tuple[Masked, ...]) -> bool:
        """Return whether these inputs' sum can be freed of its masks, and does then come out."""
        if len({m.site for m in chosen}) < len(chosen):
            return False
        seeds = [self._seeds.get(_owner(m.call, m.site)) for m in chosen]
        total: Words = np.zeros(self.stage.dim, dtype=np.uint64)
        for masked, seed in zip(chosen, seeds, strict=True):
            if seed is None:
                return False
            total += masked.words - mask_stream(
                self_key(seed, _binding(masked), masked.site), self.stage.dim
            )
        words = [self.stage.words(m.site, m.call.round) for m in chosen]
        truth: Words = np.sum(words, axis=0, dtype=np.uint64)
        rest = self._known_masks(chosen)
        return any(np.array_equal(total - known, truth) for known in (0 * total, rest))

    def _known_masks(self, chosen: tuple[Masked, ...]) -> Words:
        """Return the sum of the pair masks that do not cancel and whose keys are known."""
        pairs: Counter[Pair] = Counter()
        for masked in chosen:
            pairs.update(_pairs(masked))  # what one added and another took off is gone
        rest: Words = np.zeros(self.stage.dim, dtype=np.uint64)
        for pair, times in pairs.items():
            if times and (stream := self._pair_stream(pair)) is not None:
                rest += np.uint64(times % 2**64) * stream
        return rest

    def _pair_stream(self, pair: Pair) -> Words | None:
        one, other, binding, names = pair
        for public, peer in ((one, other), (other, one)):
            if secret := self._keys.get(public):
                key = pair_key(AgreementKey(secret), bytes.fromhex(peer), binding, names)
                return mask_stream(key, self.stage.dim)
        return None

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        """The secret masking keys that are known, by public key."""
        known = dict(self.stage.owned)
        for owner in self._owners:
            if secret := self._recovered(owner, "mask"):
                known[AgreementKey(secret).public.hex()] = secret
        return known

    @cached_property
    def _seeds(self) -> dict[Owner, bytes]:
        """The seeds of self-masks that are known."""
        found = {owner: self._recovered(owner, "seed") for owner in self._owners}
        return {owner: seed for owner, seed in found.items() if seed}

    @property
    def _owners(self) -> Iterator[Owner]:
        for (context, site), join in self.stage.joins.items():
            for turn in range(join.context.turns):
                yield context, turn, site

    def _recovered(self, owner: Owner, kind: Kind) -> bytes | None:
        """Return a member's secret of a turn, if its shares give it back or it is a colluder's."""
        context, turn, site = owner
        join = self.stage.joins[context, site]
        own = _secrets(join, turn)
        secret = own.mask if kind == "mask" else own.seed
        if site in self.stage.colluders:
            return secret
        shares = self._shares.get((owner, kind), {})
        try:  # the oracle knows what would come out, so it need not search for it
            return recover(shares, join.context.threshold, lambda found: found == secret)
        except InvalidMessage:
            return None

    @cached_property
    def _shares(self) -> dict[tuple[Owner, Kind], dict[int, bytes]]:
        """The shares that are known, by the position of the site that they were dealt to."""
        known: dict[tuple[Owner, Kind], dict[int, bytes]] = {}
        for owner, kind, position, share in chain(self._told(), self._opened()):
            known.setdefault((owner, kind), {})[position] = share
        return known

    def _told(self) -> Iterator[Known]:
        """Yield what members have told."""
        for told in self.stage.told:
            position = self.stage.roster.position(told.site)
            for i, site in enumerate(told.call.asked):
                kind: Kind = "seed" if site in told.survivors else "mask"
                share = told.shares[i * SHARE_BYTES : (i + 1) * SHARE_BYTES]
                yield _owner(told.call, site), kind, position, share

    def _opened(self) -> Iterator[Known]:
        """Yield what lies in the cells that colluders, or keys that were planted, can open."""
        for dealer, offers, dealt in self.stage.dealt:
            offered = [Advertisement.read(offer.statement) for offer in offers]
            for j, target in enumerate(offered):
                if secret := self._seal(target):
                    cells = [dealt[i : i + CELL_BYTES] for i in range(0, len(dealt), CELL_BYTES)]
                    column = cells[j :: len(offered)]
                    yield from self._column(dealer, target, secret, column)

    def _column(
        self, dealer: str, target: Advertisement, secret: bytes, column: list[bytes]
    ) -> Iterator[Known]:
        join = self.stage.joins[target.context, dealer]
        seal = Advertisement.read(join.offer.statement).seal
        shared = AgreementKey(secret).shared(bytes.fromhex(seal))
        position = self.stage.roster.position(target.site)
        for turn, sealed in enumerate(column):
            cell = open_cell(shared, Route(target.context, turn, dealer, target.site), sealed)
            owner = target.context, turn, dealer
            yield owner, "mask", position, cell.mask
            yield owner, "seed", position, cell.seed

    def _seal(self, target: Advertisement) -> bytes | None:
        """Return the secret key that opens what is sealed for a target, if it is known."""
        if planted := self.stage.owned.get(target.seal):
            return planted
        join = self.stage.joins.get((target.context, target.site))
        if target.site in self.stage.colluders and join:
            return derive(join.entropy, PROTOCOL, "seal")
        return None


def _secrets(join: Join, turn: int) -> TurnSecrets:
    link = derive(join.entropy, PROTOCOL, "chain")
    for _ in range(turn):
        link = next_link(link)
    return turn_secrets(link)


def _owner(call: Call, site: str) -> Owner:
    return call.deck.context, call.deck.turn, site


def _binding(masked: Masked) -> Binding:
    deck = masked.call.deck
    return Binding(deck.context, deck.turn, masked.theta)


def _pairs(masked: Masked) -> dict[Pair, int]:
    """Return the masks in an input, and whether each was added (1) or taken off (-1)."""
    asked, own, found = masked.call.asked, masked.site, dict[Pair, int]()
    place = asked.index(own) if own in asked else len(asked)
    for peer in asked:
        if peer != own:
            first = place < asked.index(peer)
            names = (own, peer) if first else (peer, own)
            publics = [masked.call.deck.of(name).mask for name in names]
            found[publics[0], publics[1], _binding(masked), names] = 1 if first else -1
    return found


def _subsets(inputs: list[Masked]) -> Iterator[tuple[Masked, ...]]:
    sizes = range(1, len(inputs) + 1)
    return chain.from_iterable(combinations(inputs, size) for size in sizes)
