"""Metrics on the wire: the request for a histogram of scores, and a site's noised one.

A reply holds the request's echo and the counts, and nothing else: no score, no number of patients.
"""

import math
from dataclasses import dataclass

import numpy as np
from flwr.app import RecordDict
from torch import Tensor

from common.messages.frame import (
    Head,
    content_of,
    invalid,
    read_array,
    read_floats,
    read_head,
    require_same,
)
from common.privacy.histograms import CELLS, Integers
from common.privacy.masking.statements import Call

VOTES = "votes"
VOTES_TYPE = f"query.{VOTES}"
IMPLAUSIBLE = "implausible-votes"
_KEYS: dict[str, type] = {"study": str, "release": int, "task": str}
_FAR = 10.0


@dataclass(frozen=True)
class VotesRequest:
    """What the server asks of a site: the study's release of a number, of a task, for theta [d]."""

    study: str
    release: int
    task: str
    theta: Tensor


@dataclass(frozen=True)
class MaskedVotesRequest:
    """The same in a turn of secure aggregation, whose round is the release's number."""

    call: Call
    votes: VotesRequest


def votes_request_content(request: VotesRequest) -> RecordDict:
    """Return the message content of a request."""
    return content_of(_head(request), request.theta.detach().float().numpy())


def read_votes_request(content: RecordDict, *, study: str, dim: int) -> VotesRequest:
    """Return the checked request, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    return _request(content, read_head(content, _KEYS, vector=True), study=study, dim=dim)


def masked_votes_request_content(asked: MaskedVotesRequest) -> RecordDict:
    """Return the message content of a request for masked votes."""
    head = {**_head(asked.votes), "call": asked.call.text}
    return content_of(head, asked.votes.theta.detach().float().numpy())


def read_masked_votes_request(content: RecordDict, *, study: str, dim: int) -> MaskedVotesRequest:
    """Return the checked request, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract, belongs to another study, or its turn is
            of another round than its release.
    """
    head = read_head(content, _KEYS | {"call": str}, vector=True)
    request = _request(content, head, study=study, dim=dim)
    call = Call.read(str(head["call"]))
    require_same(call.round, request.release, "wrong-ballot", "the turn is of another ballot")
    return MaskedVotesRequest(call, request)


def _head(request: VotesRequest) -> Head:
    return {"study": request.study, "release": request.release, "task": request.task}


def _request(content: RecordDict, head: Head, *, study: str, dim: int) -> VotesRequest:
    require_same(head["study"], study, "wrong-study", "the server runs another study")
    theta = read_floats(content, dim=dim)
    return VotesRequest(study, int(head["release"]), str(head["task"]), theta)


def votes_content(request: VotesRequest, counts: Integers) -> RecordDict:
    """Return a site's answer: its noised counts [CELLS], int64."""
    return content_of(_head(request), counts)


def read_votes(content: RecordDict, *, request: VotesRequest) -> Integers:
    """Return the counts [CELLS] of a site, not yet known to be plausible.

    Raises:
        InvalidMessage: the content breaks the contract or answers another request.
    """
    head = read_head(content, _KEYS, vector=True)
    require_same(head["study"], request.study, "wrong-study", "the votes are of another study")
    asked = (request.release, request.task)
    found = (head["release"], head["task"])
    require_same(found, asked, "wrong-ballot", "the votes are of another ballot")
    counts: Integers = read_array(content, dim=CELLS, dtype=np.int64)
    return counts.copy()


def require_plausible(counts: Integers, *, patients: int, sites: int, std: float) -> None:
    """Return if `counts` [CELLS] can be the sum of so many sites with so many declared patients.

    What honest noise of `std` votes a site does less than once in 10^20 is not plausible.

    Raises:
        InvalidMessage: they cannot.
    """
    noise = _FAR * std * math.sqrt(sites) + sites
    cells = -noise <= int(counts.min()) and int(counts.max()) <= patients + noise
    total = math.fsum(counts.tolist())
    room = math.sqrt(CELLS) * noise
    if not (cells and -room <= total <= patients + room):
        raise invalid(IMPLAUSIBLE, "the declared patients cannot give these counts")
