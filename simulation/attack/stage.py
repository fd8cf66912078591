"""Real members of a secure aggregation, and a coordinator that keeps all it is told.

A script plays it with the methods of `Stage`, where a member's refusal gives None and is noted.
Afterwards `simulation.attack.oracle` says what it can compute.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from client.masking import Masker, MemoryStore
from common.crypto import SigningKey, digest
from common.errors import InvalidMessage
from common.privacy.masking.member import Seat
from common.privacy.masking.ring import Words, encode
from common.privacy.masking.roster import Roster, RosterSite
from common.privacy.masking.rules import Policy, threshold_of
from common.privacy.masking.session import Session
from common.privacy.masking.statements import Call, Context, Signed, theta_digest
from common.privacy.masking.turns import Confirmation

STUDY, DIM, TURNS = digest("study").hex(), 4, 3
NOW = int(datetime(2030, 6, 1, tzinfo=UTC).timestamp() * 1000)
THETA = theta_digest(b"the model")
NAMES = ("Ash", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak")
T = TypeVar("T")


@dataclass(frozen=True)
class Masked:
    """A masked input that the coordinator was given, and what for."""

    site: str
    call: Call
    theta: str
    words: Words


@dataclass(frozen=True)
class Told:
    """Shares that a site has told: of the seeds of survivors, of the keys of others."""

    site: str
    call: Call
    survivors: tuple[str, ...]
    shares: bytes


@dataclass(frozen=True)
class Join:
    """A member's joining of a session: what it has advertised, and what that was derived from."""

    context: Context
    offer: Signed
    entropy: bytes


@dataclass
class Stage:
    """Members by name, of which `colluders` tell the coordinator all that they know.

    owned: secret X25519 keys that the coordinator has put in the place of members', by public key.
    """

    members: dict[str, Masker]
    roster: Roster
    colluders: tuple[str, ...]
    entropy: dict[str, list[bytes]]
    dim: int = DIM
    opened: int = NOW
    masked: list[Masked] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    dealt: list[tuple[str, tuple[Signed, ...], bytes]] = field(default_factory=list)
    joins: dict[tuple[str, str], Join] = field(default_factory=dict)
    owned: dict[str, bytes] = field(default_factory=dict)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    _called: dict[str, Call] = field(default_factory=dict)
    _confirmed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All members."""
        return tuple(self.members)

    def words(self, site: str, round_index: int) -> Words:
        """Return a site's encoded vector [d] of a round: the same whenever it is asked for."""
        return encode(vector(site, round_index, self.dim))

    def context(self, **changes: object) -> Context:
        """Return the context of a new session, with changes."""
        self.opened += 1
        context = Context(
            federation=self.roster.federation,
            study=STUDY,
            roster=self.roster.hash,
            cohort=self.names,
            threshold=threshold_of(len(self.names)),
            turns=TURNS,
            dim=self.dim,
            opened=self.opened,
            fast_path=next(iter(self.members.values())).seat.policy.fast_path,
        )
        return context.model_copy(update=changes)

    def advertise(self, site: str, context: Context) -> Signed | None:
        """Ask a site to join."""
        offer = self._ask(site, lambda member: member.advertise(context.text))
        if offer:
            self.joins[(context.id, site)] = Join(context, offer, self.entropy[site][-1])
        return offer

    def deal(self, site: str, offers: Sequence[Signed]) -> bytes | None:
        """Ask a site to deal."""
        dealt = self._ask(site, lambda member: member.deal(offers))
        if dealt:
            self.dealt.append((site, tuple(offers), dealt))
        return dealt

    def set_up(self, **changes: object) -> Session:
        """Open a session as an honest coordinator would, with all who join."""
        context = self.context(**changes)
        found = [self.advertise(site, context) for site in context.cohort if site in self.members]
        offers = tuple(offer for offer in found if offer)
        return self.dealing(Session(context, offers, {}))

    def dealing(self, session: Session) -> Session:
        """Have all who have advertised deal."""
        replies = {site: self.deal(site, session.offers) for site in session.names}
        dealt = {site: reply for site, reply in replies.items() if reply}
        return Session(session.context, session.offers, dealt)

    def masked_input(self, site: str, call: Call, theta: str = THETA) -> Words | None:
        """Ask a site for its masked input."""
        update = partial(vector, site, call.round, self.dim)
        words = self._ask(site, lambda member: member.masked_input(call, theta, update))
        if words is not None:
            self._called[site] = call
            self.masked.append(Masked(site, call, theta, words))
        return words

    def confirm(
        self, site: str, turn: int, survivors: Sequence[str], sealed: bytes = b""
    ) -> Confirmation | None:
        """Ask a site to sign."""
        answer = self._ask(site, lambda member: member.confirm(turn, survivors, sealed))
        if answer:
            self._confirmed[site] = tuple(survivors)
            self._note(site, answer.shares)
        return answer

    def reveal(
        self, site: str, turn: int, signatures: Mapping[str, bytes], sealed: bytes
    ) -> bytes | None:
        """Ask a site for its shares."""
        shares = self._ask(site, lambda member: member.reveal(turn, signatures, sealed))
        if shares:
            self._note(site, shares)
        return shares

    def kill(self, site: str) -> None:
        """End a member's process and start it again: only what it has stored is left."""
        old = self.members[site]
        self.members[site] = Masker(old.seat, old.store, old.clock, old.entropy, old.below)

    def _note(self, site: str, shares: bytes) -> None:
        if shares:
            self.told.append(Told(site, self._called[site], self._confirmed[site], shares))

    def _ask(self, site: str, ask: Callable[[Masker], T]) -> T | None:
        try:
            return ask(self.members[site])
        except InvalidMessage as error:
            self.refusals.append((site, error.code))
            return None


def vector(site: str, round_index: int, dim: int = DIM) -> NDArray[np.float64]:
    """Return a site's vector [d] of a round."""
    seed = int.from_bytes(digest(site, round_index)[:4], "big")
    return np.random.default_rng(seed).normal(size=dim)


def make_stage(
    sites: int = 7,
    *,
    colluders: int = 2,
    min_cohort: int = 5,
    tolerated: int | None = None,
    fast_path: bool = True,
    dim: int = DIM,
    revoked: Sequence[str] = (),
    expired: Sequence[str] = (),
) -> Stage:
    """Return members, the last `colluders` of whom are in league with the coordinator.

    tolerated: how many of them the honest ones allow for. All draws are the same in every call.
    """
    names = NAMES[:sites]
    keys = {name: SigningKey(digest("identity", name)) for name in names}
    roster = _roster(keys, revoked=revoked, expired=expired)
    policy = Policy(
        study=STUDY,
        dim=dim,
        min_cohort=min_cohort,
        colluders=colluders if tolerated is None else tolerated,
        fast_path=fast_path,
    )
    entropy: dict[str, list[bytes]] = {name: [] for name in names}
    members = {n: _member(Seat(n, key, roster, policy), entropy[n]) for n, key in keys.items()}
    return Stage(members, roster, names[sites - colluders :], entropy, dim)


def _roster(
    keys: Mapping[str, SigningKey], *, revoked: Sequence[str], expired: Sequence[str]
) -> Roster:
    sites = (
        RosterSite(
            name=name,
            public_key=key.public.hex(),
            weight=1.0,
            not_before=date(2030, 1, 1),
            not_after=date(2030, 3 if name in expired else 12, 31),
        )
        for name, key in keys.items()
    )
    void = tuple(keys[name].public.hex() for name in revoked)
    return Roster(federation="stage", epoch=1, sites=tuple(sites), revoked=void)


def _member(seat: Seat, drawn: list[bytes]) -> Masker:
    return Masker(
        seat,
        MemoryStore(),
        clock=lambda: NOW,
        entropy=partial(_drawn, drawn, seat.name),
        below=Random(seat.name).randrange,  # noqa: S311, a stage has no secrets
    )


def _drawn(drawn: list[bytes], name: str) -> bytes:
    """Return the next entropy of a member, and keep it for the oracle."""
    drawn.append(digest("entropy", name, len(drawn)))
    return drawn[-1]
