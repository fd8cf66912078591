"""What a site must not forget between the phases of secure aggregation; it goes forward only.

    joined -> dealt -> a turn: masked -> signed -> revealed -> the next turn: masked ...

A site keeps it sealed on its disk and writes it there before a reply leaves: whatever a crash or a
repeated message then brings about, no key masks twice and no second statement is signed.
"""

from typing import Literal

from common.errors import Refusal
from common.privacy.masking.statements import (
    Count,
    Hex32,
    SiteName,
    Statement,
    violation,
)

Phase = Literal["masked", "signed", "revealed"]


class Turn(Statement):
    """A turn in which this site has sent its masked input.

    seals: the sealing keys of those asked. survivors, confirmed, revealed: what was signed, and the
    digests of the requests that were answered; the same request is given the same answer again.
    """

    number: Count
    round: Count
    deck: Hex32
    theta: Hex32
    asked: tuple[SiteName, ...]
    seals: tuple[Hex32, ...]
    phase: Phase = "masked"
    survivors: tuple[SiteName, ...] = ()
    confirmed: str = ""
    revealed: str = ""


class Joined(Statement):
    """A session that the site takes part in.

    link: of the chain of keys, at turn `position`, the next one that can be masked. seal: the
    secret key that opens what peers have sealed. decks: the digest of each turn's keys, once dealt.
    """

    context: str
    position: Count = 0
    link: Hex32
    seal: Hex32
    decks: tuple[Hex32, ...] = ()
    turn: Turn | None = None


class State(Statement):
    """All that a site remembers of a study's secure aggregation.

    opened: when the last session that it joined was opened. masked_round, revealed_round: the last
    round that it masked an input for, and revealed a share for. aborts: sessions it has given up.
    """

    opened: Count = 0
    masked_round: Count = 0
    revealed_round: Count = 0
    aborts: Count = 0
    joined: Joined | None = None

    def revealed(self, round_index: int) -> bool:
        """Return whether the site has revealed a share for this round or a later one.

        Then a sum with its input may be known. The same vector in another sum, over other sites,
        would tell the coordinator the difference: some site's vector alone.
        """
        return round_index <= self.revealed_round

    def burned(self) -> "State":
        """Return the state after a violation: the session's secrets are gone for good."""
        aborts = self.aborts + (self.joined is not None)
        return self.model_copy(update={"joined": None, "aborts": aborts})


def require_joined(state: State) -> Joined:
    """Return the session.

    Raises:
        Refusal: there is none.
    """
    if state.joined is None:
        raise Refusal(
            "no-session",
            "this site takes part in no session",
            where="secure aggregation",
            remedy="it is asked to join the next one",
        )
    return state.joined


def require_turn(state: State, number: int) -> tuple[Joined, Turn]:
    """Return the session and its turn, which must be the one of this number.

    Raises:
        InvalidMessage: it is not.
    """
    joined = require_joined(state)
    if joined.turn is None or joined.turn.number != number:
        raise violation("wrong-phase", "this site has masked nothing in this turn")
    return joined, joined.turn
