"""A site's part in secure aggregation: its turns (Bonawitz et al. 2017, figure 4).

    enter, mask  round 2 of the figure: masked input
    confirm      round 3: consistency; on the fast path also the shares of round 4
    reveal       round 4: unmasking

The fast path is not in the paper, whose consistency round comes before every share. It adds only
shares of self-masks, and only if nobody dropped out. Let F be the honest sites that took it and L
those that signed another statement: they are disjoint. To unmask a single site the coordinator
needs its self-mask and its masking key, each from t sites: |F| + f >= t and |L| + f >= t, hence
2t <= |F| + |L| + 2f <= k + f, which `rules.check_threshold` excludes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.crypto import AgreementKey, digest, verify
from common.errors import Refusal
from common.privacy.masking.keys import (
    CELL_BYTES,
    Binding,
    Route,
    next_link,
    open_cell,
    pair_key,
    self_key,
    turn_secrets,
)
from common.privacy.masking.member import Seat
from common.privacy.masking.ring import Words, mask_stream
from common.privacy.masking.rules import (
    check_deck,
    check_presence,
    check_sites,
    check_within,
    today_of,
)
from common.privacy.masking.state import Joined, State, Turn, require_joined, require_turn
from common.privacy.masking.statements import CONFIRM, Call, Context, Survival, violation


@dataclass(frozen=True)
class Entered:
    """A turn whose request has been checked: what `mask` needs of it."""

    seat: Seat
    state: State
    joined: Joined
    context: Context
    call: Call


@dataclass(frozen=True)
class Confirmation:
    """The signature of a turn's statement; on the fast path also shares, [asked, 66] bytes."""

    signature: bytes
    shares: bytes


def enter(seat: Seat, state: State, call: Call, *, now: int, fresh: bool = False) -> Entered:
    """Check the request for a masked input, before anything is computed for it.

    fresh: the vector to come is a release of its own, with noise of its own, and not the one that
    was masked for this round before.

    Raises:
        Refusal: this site has revealed a share for this round.
        InvalidMessage: the request breaks a rule.
    """
    joined = require_joined(state)
    if state.revealed(call.round) and not (fresh and call.round == state.revealed_round):
        raise Refusal(
            "already-revealed",
            f"a sum of round {call.round} may be known: another one would tell the difference",
            where=seat.name,
            remedy="go on with the next round, or draw this one's release anew",
        )
    if call.round < state.masked_round:
        raise violation("stale-round", f"round {call.round} is over")
    context = Context.read(joined.context)
    check_deck(call.deck, context.id, joined.decks, first=joined.position)
    check_within(call.asked, [card.site for card in call.deck.cards])
    check_sites(call.asked, seat.roster, today_of(now))
    check_presence(call.asked, seat.name, context.threshold, seat.policy)
    return Entered(seat, state, joined, context, call)


def mask(entered: Entered, theta: str, words: Words) -> tuple[State, Words]:
    """Return the masked input [d] for encoded `words` [d]; the turn's secrets are then gone.

    y_u = x_u + PRG(b_u) + sum over v > u of PRG(k_uv) - sum over v < u of PRG(k_uv), v in U1.

    Raises:
        InvalidMessage: the vector has not the session's length, or a peer's key is no key.
    """
    call, joined, context = entered.call, entered.joined, entered.context
    if words.shape != (context.dim,) or words.dtype != np.uint64:
        raise violation("wrong-shape", "the vector is not that of the session")
    link = bytes.fromhex(joined.link)
    for _ in range(joined.position, call.deck.turn):
        link = next_link(link)
    masked = _masked(entered, Binding(context.id, call.deck.turn, theta), link, words)
    after = joined.model_copy(
        update={
            "position": call.deck.turn + 1,
            "link": next_link(link).hex(),
            "turn": Turn(
                number=call.deck.turn,
                round=call.round,
                deck=call.deck.digest,
                theta=theta,
                asked=call.asked,
                seals=tuple(call.deck.of(name).seal for name in call.asked),
            ),
        }
    )
    return entered.state.model_copy(update={"masked_round": call.round, "joined": after}), masked


def _masked(entered: Entered, binding: Binding, link: bytes, words: Words) -> Words:
    call, name, secrets = entered.call, entered.seat.name, turn_secrets(link)
    masked = words + mask_stream(self_key(secrets.seed, binding, name), len(words))
    own, before = AgreementKey(secrets.mask), True
    for peer in call.asked:
        if peer == name:
            before = False
            continue
        names = (peer, name) if before else (name, peer)
        key = pair_key(own, bytes.fromhex(call.deck.of(peer).mask), binding, names)
        change = np.subtract if before else np.add
        change(masked, mask_stream(key, len(words)), out=masked)
    return masked


def confirm(
    seat: Seat, state: State, number: int, survivors: Sequence[str], sealed: bytes
) -> tuple[State, Confirmation]:
    """Sign whose inputs are added up in a turn; the one and only time in it.

    sealed: on the fast path the cells [asked, 148] sealed for this site, else nothing.

    Raises:
        InvalidMessage: the request breaks a rule, or differs from one that was answered.
    """
    joined, turn = require_turn(state, number)
    context = Context.read(joined.context)
    check_within(survivors, turn.asked)
    check_presence(survivors, seat.name, context.threshold, seat.policy)
    survival = _survival(context, turn, survivors)
    request = digest("confirm", survival.text, sealed).hex()
    again = turn.confirmed == request
    if turn.phase != "masked" and not again:
        raise violation("wrong-phase", "this turn's statement is signed")
    quick = context.fast_path and tuple(survivors) == turn.asked
    shares = _shares(seat, joined, turn, survivors, sealed) if quick else b""
    if sealed and not quick:
        raise violation("wrong-phase", "shares are not due yet")
    answer = Confirmation(seat.key.sign(CONFIRM, survival.text), shares)
    if again:
        return state, answer
    change = {"survivors": tuple(survivors), "confirmed": request}
    return _kept(state, joined, turn, change, "revealed" if quick else "signed"), answer


def reveal(
    seat: Seat, state: State, number: int, signatures: Mapping[str, bytes], sealed: bytes
) -> tuple[State, bytes]:
    """Return this site's shares [asked, 66] after t sites have signed what it has signed.

    Of a survivor it is the share of the self-mask, of a site that dropped out that of the masking
    key; never both. sealed: the cells [asked, 148] sealed for this site.

    Raises:
        InvalidMessage: the request breaks a rule, or differs from one that was answered.
    """
    joined, turn = require_turn(state, number)
    context = Context.read(joined.context)
    survival = _survival(context, turn, turn.survivors)
    named = [part for name in sorted(signatures) for part in (name, signatures[name])]
    request = digest("reveal", survival.text, sealed, *named).hex()
    again = turn.revealed == request
    if turn.phase != "signed" and not again:
        raise violation("wrong-phase", "this is not the time to reveal")
    _check_signatures(seat, survival, signatures, context.threshold)
    shares = _shares(seat, joined, turn, turn.survivors, sealed)
    if again:
        return state, shares
    return _kept(state, joined, turn, {"revealed": request}, "revealed"), shares


def _survival(context: Context, turn: Turn, survivors: Sequence[str]) -> Survival:
    return Survival(
        context=context.id,
        turn=turn.number,
        round=turn.round,
        deck=turn.deck,
        theta=turn.theta,
        asked=turn.asked,
        survivors=tuple(survivors),
    )


def _check_signatures(
    seat: Seat, survival: Survival, signatures: Mapping[str, bytes], threshold: int
) -> None:
    if len(signatures) < threshold or not set(signatures) <= set(survival.survivors):
        raise violation("few-signatures", "too few survivors have signed")
    for name, signature in signatures.items():
        public = bytes.fromhex(seat.roster.sites[seat.roster.position(name) - 1].public_key)
        verify(public, signature, CONFIRM, survival.text)


def _shares(
    seat: Seat, joined: Joined, turn: Turn, survivors: Sequence[str], sealed: bytes
) -> bytes:
    """Return one share for each site asked; a single cell that does not open spoils all."""
    if len(sealed) != CELL_BYTES * len(turn.asked):
        raise violation("wrong-shape", "the sealed shares are not one for each site asked")
    own, context = AgreementKey(bytes.fromhex(joined.seal)), Context.read(joined.context)
    shares = []
    for i, (source, seal) in enumerate(zip(turn.asked, turn.seals, strict=True)):
        route = Route(context.id, turn.number, source, seat.name)
        shared = own.shared(bytes.fromhex(seal))
        cell = open_cell(shared, route, sealed[i * CELL_BYTES : (i + 1) * CELL_BYTES])
        shares.append(cell.seed if source in survivors else cell.mask)
    return b"".join(shares)


def _kept(
    state: State, joined: Joined, turn: Turn, change: Mapping[str, object], phase: str
) -> State:
    after = turn.model_copy(update={**change, "phase": phase})
    update: dict[str, object] = {"joined": joined.model_copy(update={"turn": after})}
    if phase == "revealed":
        update["revealed_round"] = max(turn.round, state.revealed_round)
    return state.model_copy(update=update)
