"""A site's part in secure aggregation: how it joins a session (Bonawitz et al. 2017, figure 4).

Every function here and in `turns` takes the site's state and a request, and returns the next state
and the reply. Whatever breaks a rule raises; the caller then burns the session (`State.burned`) and
answers with the code alone. The next state is kept before the reply is sent.

    advertise    round 0 of the figure: public keys, here of all turns
    deal         round 1: shares, here of all turns
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.crypto import AgreementKey, SigningKey, derive
from common.errors import Refusal
from common.privacy.masking.keys import (
    Cell,
    Route,
    TurnSecrets,
    next_link,
    seal_cell,
    turn_keys,
    turn_secrets,
)
from common.privacy.masking.roster import Roster
from common.privacy.masking.rules import (
    Policy,
    check_advertisements,
    check_context,
    check_presence,
    today_of,
)
from common.privacy.masking.shamir import Below, split
from common.privacy.masking.state import Joined, State, require_joined
from common.privacy.masking.statements import (
    ADVERTISE,
    PROTOCOL,
    Advertisement,
    Context,
    Signed,
    deck_of,
    signed,
    violation,
)

MAX_ABORTS = 3
"""So many sessions given up in a study, and a person has to look."""


@dataclass(frozen=True)
class Seat:
    """Who a site is in secure aggregation: its name, its signing key, its roster, its minima."""

    name: str
    key: SigningKey
    roster: Roster
    policy: Policy


def advertise(
    seat: Seat, state: State, context_text: str, *, now: int, entropy: bytes
) -> tuple[State, Signed]:
    """Join a session and return this site's keys for it.

    now: milliseconds of Unix time. entropy: 32 fresh bytes, of which all secrets are derived.

    Raises:
        InvalidMessage: the session is not one to join.
    """
    if state.aborts >= MAX_ABORTS:
        raise Refusal(
            "stopped",
            f"{state.aborts} sessions of this study were given up",
            where=seat.name,
            remedy="read the log, find the cause, then reset the count",
        )
    context = Context.read(context_text)
    check_context(context, seat.policy, seat.roster, name=seat.name, after=state.opened, now=now)
    joined = Joined(
        context=context_text,
        link=derive(entropy, PROTOCOL, "chain").hex(),
        seal=derive(entropy, PROTOCOL, "seal").hex(),
    )
    reply = signed(_advertisement(seat.name, context, joined), seat.key, ADVERTISE)
    return state.model_copy(update={"opened": context.opened, "joined": joined}), reply


def _advertisement(name: str, context: Context, joined: Joined) -> Advertisement:
    secrets = enumerate(_all_secrets(joined, context.turns))
    return Advertisement(
        context=context.id,
        site=name,
        seal=AgreementKey(bytes.fromhex(joined.seal)).public.hex(),
        turns=tuple(turn_keys(context.id, turn, name, secret) for turn, secret in secrets),
    )


def _all_secrets(joined: Joined, turns: int) -> Iterator[TurnSecrets]:
    link = bytes.fromhex(joined.link)
    for _ in range(turns):
        yield turn_secrets(link)
        link = next_link(link)


def deal(
    seat: Seat, state: State, offers: Sequence[Signed], *, now: int, below: Below
) -> tuple[State, bytes]:
    """Take the advertisements of a session and return the sealed shares of this site's secrets.

    The reply is [turns, members, 148] bytes, members in the order of the offers, this site among
    them. below: the source of the polynomials' coefficients.

    Raises:
        InvalidMessage: an advertisement does not hold, or there are too few.
    """
    joined = require_joined(state)
    if joined.decks:
        raise violation("wrong-phase", "the shares of this session were dealt before")
    context = Context.read(joined.context)
    members = check_advertisements(offers, context, seat.roster, today_of(now))
    names = [member.site for member in members]
    check_presence(names, seat.name, context.threshold, seat.policy)
    if members[names.index(seat.name)] != _advertisement(seat.name, context, joined):
        raise violation("wrong-keys", "this site's own advertisement was altered")
    dealt = b"".join(_cells(seat, context, joined, members, below))
    decks = tuple(deck_of(context, members, turn).digest for turn in range(context.turns))
    after = joined.model_copy(update={"decks": decks})
    return state.model_copy(update={"joined": after}), dealt


def _cells(
    seat: Seat,
    context: Context,
    joined: Joined,
    members: Sequence[Advertisement],
    below: Below,
) -> Iterator[bytes]:
    own = AgreementKey(bytes.fromhex(joined.seal))
    shared = [own.shared(bytes.fromhex(member.seal)) for member in members]
    positions = [seat.roster.position(member.site) for member in members]
    for turn, secrets in enumerate(_all_secrets(joined, context.turns)):
        shares = [
            split(secret, threshold=context.threshold, positions=positions, below=below)
            for secret in secrets
        ]
        for member, key, mask, seed in zip(members, shared, *shares, strict=True):
            route = Route(context.id, turn, seat.name, member.site)
            yield seal_cell(key, route, Cell(mask, seed))
