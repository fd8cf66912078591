"""Asking sites for the sum of their updates, so that no single one of them is seen.

A session is set up in two phases and serves `TURNS` attempts at a round. An attempt takes two
phases, masked input and confirmation, and a third, reveal, if a site has dropped out. It brings the
sum over those whose inputs have come, or nothing: with fewer than t sites there is no part of one.

Once a site has told a share for a round it takes part in no other sum of it. So an attempt that
lacks shares is taken up by the next one, which asks the sites that have not answered. A new session
is set up when there is none, when its turns are used up, or when too few of its members are left;
it lets in whoever answers then. What the coordinator knows of a session ends with its process: a
resumed run begins with a new one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from common.aggregation import WeightedSum, nothing
from common.privacy.masking.ring import Words, decode
from common.privacy.masking.session import Session
from common.study import Study
from server.attendance import NO_SESSION, Attendance
from server.masked_setup import Failed, SetUp
from server.masked_turn import Request, Turn, begin, finish, update_request
from server.rounds import Answers
from server.state import ServerState

NO_SUM, TOO_LARGE, RESTING = "no-sum", "sum-too-large", "resting"
"""Reasons of sites that did nothing wrong: there is no sum; it is not plausible; not asked."""


class Sum(NamedTuple):
    """The sum [dim] of the survivors' vectors, in the ring, and why the others are not in it."""

    words: Words
    survivors: tuple[str, ...]
    dropped: dict[str, str]


@dataclass
class MaskedSums:
    """Asks sites for sums of their masked vectors, session after session."""

    setup: SetUp
    session: Session | None = None
    attendance: Attendance = field(default_factory=Attendance)
    turn: int = 0
    unfinished: Turn | None = None

    def ask(self, request: Request, cohort: Sequence[str]) -> Sum:
        """Return the sum over the sites whose inputs have come.

        Raises:
            Failed: there is none. Asked again, it goes on from there.
        """
        turn, self.unfinished = self.unfinished, None
        if turn is None or not turn.serves(request):
            turn = self._begin(request, cohort)
        self.unfinished = turn
        words, dropped = finish(self.setup.line, turn, self.setup.roster)
        self.unfinished = None
        self.attendance.note(turn.call.deck.turn, (), dropped)
        return Sum(words, turn.survivors, self._unasked(turn, cohort) | turn.dropped)

    def _unasked(self, turn: Turn, cohort: Sequence[str]) -> dict[str, str]:
        left = self.attendance.left(turn.session.members)
        unasked = [site for site in cohort if site not in turn.call.asked]
        return {site: RESTING if site in left else NO_SESSION for site in unasked}

    def _begin(self, request: Request, cohort: Sequence[str]) -> Turn:
        """Return a new turn whose inputs are enough for a sum that counts.

        Raises:
            Failed: they are not, or there is no session.
        """
        quorum = math.ceil(self.setup.line.study.server.quorum * len(cohort))
        session = self._ready(request.round, cohort, quorum)
        least = max(quorum, session.context.threshold)
        asked = self.attendance.asked(session.members, self.turn, least)
        turn = begin(self.setup.line, session, self.turn, asked, request, least)
        self.attendance.note(self.turn, turn.inputs, turn.dropped)
        self.turn += 1
        if len(turn.inputs) < least:
            raise Failed(turn.dropped)
        return turn

    def _ready(self, round_index: int, cohort: Sequence[str], quorum: int) -> Session:
        """Return the session, a new one if need be."""
        session = self.session
        if session and self.turn < session.context.turns:
            least = max(quorum, session.context.threshold)
            if len(self.attendance.left(session.members)) >= least:
                return session
        self.session = None
        self.session = self.setup.session(round_index, cohort, least=quorum)
        self.attendance, self.turn = Attendance(), 0
        return self.session


@dataclass
class MaskedAsk:
    """Asks the study's sites for masked updates; an `Ask` as `server.rounds` defines it."""

    sums: MaskedSums

    def __call__(self, state: ServerState, cohort: Sequence[str]) -> Answers:
        """Return the sum over the sites whose inputs have come, or nothing."""
        line = self.sums.setup.line
        absent = {site: "absent" for site in cohort if site not in line.node_of}
        try:
            found = self.sums.ask(update_request(line.study.id, state), cohort)
            updates = _plausible(line.study, found)
        except Failed as failure:
            fine = dict.fromkeys(cohort, NO_SUM)
            return Answers(nothing(state.meta.numel()), (), fine | failure.dropped | absent)
        return Answers(updates, found.survivors, found.dropped | absent)


def _plausible(study: Study, found: Sum) -> WeightedSum:
    """Return the sum, if its mean's norm is one that a single site's update might have.

    Raises:
        Failed: it has not: a site has masked something else than it was asked for.
    """
    total = decode(found.words)
    weights = {site.name: site.weight for site in study.sites}
    weight = sum(weights[site] for site in found.survivors)
    if not np.linalg.norm(total) <= study.server.max_update_norm * weight:
        raise Failed(dict.fromkeys(found.survivors, TOO_LARGE))
    return WeightedSum(torch.from_numpy(total), weight)
