"""Setting up a session of secure aggregation: sites advertise their keys, then deal shares."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import time_ns
from typing import TypeVar

from flwr.app import RecordDict

from common.messages.masked import (
    offers_content,
    opening_content,
    read_deal,
    read_offer,
)
from common.messages.purposes import UPDATES, Purpose
from common.privacy.masking.keys import CELL_BYTES
from common.privacy.masking.roster import Roster
from common.privacy.masking.rules import TURNS, check_advertisements, threshold_of, today_of
from common.privacy.masking.session import Session
from common.privacy.masking.statements import Advertisement, Context, Signed, violation
from common.study import Study
from server.exchange import Phase, Post, SiteOutcome, exchange_by_site

T = TypeVar("T")


class Failed(Exception):
    """An attempt has come to nothing; dropped: the reasons, by site."""

    def __init__(self, dropped: Mapping[str, str]) -> None:
        super().__init__(", ".join(sorted(set(dropped.values()))))
        self.dropped = dict(dropped)


@dataclass(frozen=True)
class Line:
    """The way to a study's sites, by their names; purpose: of what is asked under masks."""

    grid: Post
    study: Study
    node_of: Mapping[str, int]
    purpose: Purpose = UPDATES

    def ask(
        self,
        message_type: str,
        round_index: int,
        outgoing: Mapping[str, RecordDict],
        read: Callable[[RecordDict], T],
        *,
        least: int,
    ) -> SiteOutcome[T]:
        """Return the outcome of a phase, which closes with `least` replies or more."""
        server = self.study.server
        phase = Phase(
            message_type=message_type,
            round_index=round_index,
            deadline_s=server.deadline_s,
            enough=max(least, math.ceil(server.close_at * len(outgoing))),
        )
        return exchange_by_site(self.grid, self.node_of, outgoing, read, phase)


def milliseconds() -> int:
    """Return the time, in milliseconds of Unix time."""
    return time_ns() // 1_000_000


@dataclass
class SetUp:
    """Sets up sessions. opened: when the last one was; silent: who failed to join the last try."""

    line: Line
    roster: Roster
    dim: int
    turns: int = TURNS
    fast_path: bool = True
    clock: Callable[[], int] = milliseconds
    opened: int = 0
    silent: set[str] = field(default_factory=set)

    def session(self, round_index: int, cohort: Sequence[str], *, least: int) -> Session:
        """Return a new session with those of the cohort that join it: `least` of them, and t.

        Raises:
            Failed: too few joined. The next try leaves the others out, if that can be enough.
        """
        context = self._context(cohort, least)
        least = max(least, context.threshold)
        offers = self._advertise(context, round_index)
        dropped = offers.dropped
        if len(offers.accepted) >= least:
            dealt = self._deal(context, tuple(offers.accepted.values()), round_index, least)
            dropped = {**dropped, **dealt.dropped}
            if len(dealt.accepted) >= least:
                self.silent = set()
                return Session(context, tuple(offers.accepted.values()), dealt.accepted)
        self.silent = set(dropped)
        raise Failed(dropped)

    def _context(self, cohort: Sequence[str], least: int) -> Context:
        online = set(cohort) & set(self.line.node_of)
        there = [site.name for site in self.roster.sites if site.name in online]
        heard = [site for site in there if site not in self.silent]
        chosen = tuple(heard if len(heard) >= least else there)
        self.opened = max(self.opened + 1, self.clock())
        return Context(
            federation=self.roster.federation,
            study=self.line.purpose.terms(self.line.study.id),
            roster=self.roster.hash,
            cohort=chosen,
            threshold=threshold_of(len(chosen)),
            turns=self.turns,
            dim=self.dim,
            opened=self.opened,
            fast_path=self.fast_path,
        )

    def _advertise(self, context: Context, round_index: int) -> SiteOutcome[Signed]:
        """Return the advertisements that hold, in the roster's order."""
        content = opening_content(self.line.study.id, context.text)
        outgoing = dict.fromkeys(context.cohort, content)
        outcome = self.line.ask(
            self.line.purpose.message_type("advertise"),
            round_index,
            outgoing,
            read_offer,
            least=context.threshold,
        )
        today, keys = today_of(self.clock()), set[str]()

        def check(site: str, offer: Signed) -> None:
            (read,) = check_advertisements([offer], context, self.roster, today)
            own = {read.seal, *(turn.mask for turn in read.turns)}
            if read.site != site or own & keys:
                raise violation("wrong-keys", "an advertisement has another site's name or keys")
            keys.update(own)

        outcome.keep(check)
        return outcome

    def _deal(
        self, context: Context, offers: tuple[Signed, ...], round_index: int, least: int
    ) -> SiteOutcome[bytes]:
        content = offers_content(self.line.study.id, offers)
        names = [Advertisement.read(offer.statement).site for offer in offers]
        size = context.turns * len(offers) * CELL_BYTES
        read = partial(read_deal, size=size)
        message_type = self.line.purpose.message_type("deal")
        return self.line.ask(
            message_type, round_index, dict.fromkeys(names, content), read, least=least
        )
