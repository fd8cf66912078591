"""What the coordinator keeps of a session: what sites have advertised, and the cells they dealt.

It can open none of the cells; it hands each to its peer when the turn comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from common.privacy.masking.keys import CELL_BYTES
from common.privacy.masking.statements import Advertisement, Context, Deck, Signed, deck_of


@dataclass(frozen=True)
class Session:
    """offers: the advertisements that all sites were given; dealt: [turns, offers, 148] by site."""

    context: Context
    offers: tuple[Signed, ...]
    dealt: Mapping[str, bytes]

    @cached_property
    def advertisements(self) -> tuple[Advertisement, ...]:
        """What is offered, read."""
        return tuple(Advertisement.read(offer.statement) for offer in self.offers)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The sites that have advertised, in the order of the offers."""
        return tuple(advertisement.site for advertisement in self.advertisements)

    @property
    def members(self) -> tuple[str, ...]:
        """The sites that have dealt, too: any of them can be asked in a turn."""
        return tuple(name for name in self.names if name in self.dealt)

    def deck(self, turn: int) -> Deck:
        """Return all sites' public values of a turn."""
        return deck_of(self.context, self.advertisements, turn)

    def cells(self, turn: int, target: str, sources: Sequence[str]) -> bytes:
        """Return what the sources have sealed for the target in a turn, [sources, 148]."""
        start = (turn * len(self.names) + self.names.index(target)) * CELL_BYTES
        return b"".join(self.dealt[source][start : start + CELL_BYTES] for source in sources)
