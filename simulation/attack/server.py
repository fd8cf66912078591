"""The hands of a coordinator that breaks the rules: each method goes as far as members let it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from common.crypto import AgreementKey, SigningKey, digest
from common.privacy.masking.session import Session
from common.privacy.masking.statements import (
    ADVERTISE,
    CONFIRM,
    Advertisement,
    Call,
    Signed,
    Survival,
    TurnKeys,
    signed,
    theta_digest,
)
from simulation.attack.stage import THETA, Stage

SERVER = SigningKey(digest("the coordinator's own key"))
OTHER = theta_digest(b"another model")


def call_of(session: Session, turn: int, round_index: int, asked: Sequence[str]) -> Call:
    """Return the request for masked inputs."""
    return Call(deck=session.deck(turn), round=round_index, asked=tuple(asked))


def survival_of(call: Call, survivors: Sequence[str], theta: str = THETA) -> Survival:
    """Return the statement that an honest site would sign."""
    return Survival(
        context=call.deck.context,
        turn=call.deck.turn,
        round=call.round,
        deck=call.deck.digest,
        theta=theta,
        asked=call.asked,
        survivors=tuple(survivors),
    )


@dataclass(frozen=True)
class Server:
    """A coordinator with a session at its members."""

    stage: Stage
    session: Session

    def ask(
        self,
        turn: int = 0,
        round_index: int = 1,
        asked: Sequence[str] = (),
        *,
        sites: Iterable[str] = (),
        theta: str = THETA,
    ) -> Call:
        """Ask sites for masked inputs; by default all."""
        call = call_of(self.session, turn, round_index, asked or self.stage.names)
        for site in sites or call.asked:
            self.stage.masked_input(site, call, theta)
        return call

    def confirm(
        self, call: Call, survivors: Sequence[str], sites: Iterable[str]
    ) -> dict[str, bytes]:
        """Ask sites to sign, with the cells if the fast path is theirs; return the signatures."""
        quick = tuple(survivors) == call.asked and self.session.context.fast_path
        found = {}
        for site in sites:
            sealed = self.cells(call, site) if quick else b""
            if answer := self.stage.confirm(site, call.deck.turn, survivors, sealed):
                found[site] = answer.signature
        return found

    def cheat(
        self,
        call: Call,
        survivors: Sequence[str],
        signatures: Mapping[str, bytes],
        sites: Iterable[str],
        *,
        forge: bool = True,
    ) -> None:
        """Ask sites to reveal: with these signatures, the colluders' own, and forgeries."""
        survival = survival_of(call, survivors)
        for name in survivors:
            if name not in signatures and (forge or name in self.stage.colluders):
                key = self.stage.members[name].seat.key if name in self.stage.colluders else SERVER
                signatures = {**signatures, name: key.sign(CONFIRM, survival.text)}
        for site in sites:
            self.stage.reveal(site, call.deck.turn, signatures, self.cells(call, site))

    def finish(self, call: Call, survivors: Sequence[str]) -> None:
        """End a turn as an honest coordinator does."""
        signatures = self.confirm(call, survivors, survivors)
        if tuple(survivors) != call.asked or not self.session.context.fast_path:
            for site in survivors:
                self.stage.reveal(site, call.deck.turn, signatures, self.cells(call, site))

    def cells(self, call: Call, site: str) -> bytes:
        """Return the cells that are sealed for a site; nothing if there are none."""
        if not {site, *call.asked} <= set(self.session.members):
            return b""
        return self.session.cells(call.deck.turn, site, call.asked)

    def without(self, *names: str) -> tuple[str, ...]:
        """Return all members but these."""
        return tuple(name for name in self.stage.names if name not in names)


def server_of(stage: Stage, **changes: object) -> Server:
    """Return a coordinator that has set up a session with all members of a stage."""
    return Server(stage, stage.set_up(**changes))


def planted(stage: Stage, context: str, site: str, turns: int, key: SigningKey) -> Signed:
    """Return an advertisement of the coordinator's own keys under a site's name."""

    def own(*what: str | int) -> str:
        secret = digest("planted", site, *what)
        public = AgreementKey(secret).public.hex()
        stage.owned[public] = secret
        return public

    keys = tuple(TurnKeys(mask=own("mask", i), commitment="0" * 64) for i in range(turns))
    offer = Advertisement(context=context, site=site, seal=own("seal"), turns=keys)
    return signed(offer, key, ADVERTISE)
