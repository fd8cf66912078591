"""Asking sites for their votes on a model: one by one, or under masks for the sum alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from flwr.app import RecordDict

from common.errors import InvalidMessage
from common.messages.votes import (
    IMPLAUSIBLE,
    VOTES_TYPE,
    MaskedVotesRequest,
    VotesRequest,
    masked_votes_request_content,
    read_votes,
    require_plausible,
    votes_request_content,
)
from common.privacy.ballots import Ballot, voted_digest
from common.privacy.histograms import CELLS, FEWEST_SITES, Integers
from common.privacy.masking.ring import SCALE_BITS, Words
from common.privacy.masking.statements import Call, theta_digest
from common.study import Study
from server.masked import NO_SUM, MaskedSums
from server.masked_setup import Failed, Line, SetUp
from server.masked_turn import Request
from server.state import ServerState


class Tally(NamedTuple):
    """The sum [CELLS] of the noised histograms of `sites`, and why there is none of others."""

    total: Integers
    sites: tuple[str, ...]
    dropped: Mapping[str, str]


AskVotes = Callable[[ServerState, Ballot], Tally]
"""Asks the sites of a ballot for their votes on what was learned; it raises for nobody's fault."""


def fewest(study: Study, ballot: Ballot) -> int:
    """Return how many sites have to vote: the study's quorum, and never so few that one is seen."""
    return max(FEWEST_SITES, math.ceil(study.server.quorum * len(ballot.declared)))


def made_from(state: ServerState, task: str) -> str:
    """Return the hash of what the votes on a task are made from."""
    return voted_digest(task, state.meta.numpy().astype("<f4").tobytes())


@dataclass(frozen=True)
class GridVotes:
    """Asks for each site's histogram, which its own noise protects; an `AskVotes`."""

    line: Line

    def __call__(self, state: ServerState, ballot: Ballot) -> Tally:
        """Return the sum over the sites that have answered well."""
        line, std = self.line, self.line.study.evaluation.metric_std
        patients = {site.name: site.patients for site in line.study.sites}
        request = VotesRequest(line.study.id, ballot.release, ballot.task, state.meta)
        there = [site for site in ballot.declared if site in line.node_of]
        outgoing = dict.fromkeys(there, votes_request_content(request))
        read = partial(read_votes, request=request)
        outcome = line.ask(VOTES_TYPE, 0, outgoing, read, least=fewest(line.study, ballot))
        outcome.keep(
            lambda site, counts: require_plausible(
                counts, patients=patients[site], sites=1, std=std
            )
        )
        total = np.zeros(CELLS, dtype=np.int64) + sum(outcome.accepted.values())
        absent = {site: "absent" for site in ballot.declared if site not in there}
        return Tally(total, tuple(outcome.accepted), outcome.dropped | absent)


@dataclass
class MaskedVotes:
    """Asks for the sum of the histograms under masks; an `AskVotes`.

    A session serves the ballots of the same sites, one after the other.
    """

    setup: SetUp
    voters: tuple[str, ...] = ()
    sums: MaskedSums | None = None

    def __call__(self, state: ServerState, ballot: Ballot) -> Tally:
        """Return the sum over the sites whose inputs have come, or nothing."""
        line, voters = self.setup.line, tuple(ballot.declared)
        if self.sums is None or voters != self.voters:
            self.sums, self.voters = MaskedSums(self.setup), voters
        absent = {site: "absent" for site in voters if site not in line.node_of}
        try:
            found = self.sums.ask(_request(line.study, state, ballot), voters)
            total = _whole(line.study, found.words, found.survivors)
        except Failed as failure:
            reasons = dict.fromkeys(voters, NO_SUM) | failure.dropped | absent
            return Tally(np.zeros(CELLS, dtype=np.int64), (), reasons)
        return Tally(total, found.survivors, found.dropped | absent)


def _request(study: Study, state: ServerState, ballot: Ballot) -> Request:
    """Return the request for masked votes, whose round is the number of the release."""
    votes = VotesRequest(study.id, ballot.release, ballot.task, state.meta)

    def content(call: Call) -> RecordDict:
        return masked_votes_request_content(MaskedVotesRequest(call, votes))

    theta = theta_digest(bytes.fromhex(made_from(state, ballot.task)))
    return Request(ballot.release, theta, content)


def _whole(study: Study, words: Words, sites: tuple[str, ...]) -> Integers:
    """Return the sum of the sites' counts [CELLS], to the last bit.

    Raises:
        Failed: it is none of whole and plausible numbers: a site has masked something else.
    """
    units = words.view(np.int64)
    total: Integers = units >> SCALE_BITS
    patients = sum(site.patients for site in study.sites if site.name in sites)
    try:
        require_plausible(
            total, patients=patients, sites=len(sites), std=study.evaluation.metric_std
        )
    except InvalidMessage as error:
        raise Failed(dict.fromkeys(sites, error.code)) from error
    if (total << SCALE_BITS != units).any():
        raise Failed(dict.fromkeys(sites, IMPLAUSIBLE))
    return total
