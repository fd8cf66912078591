"""Metrics on the wire: the request for a histogram of scores, and a site's noised one.

A reply holds the request's echo and the counts, and nothing else: no score, no number of patients.
"""

from dataclasses import dataclass

import numpy as np
from flwr.app import RecordDict
from torch import Tensor

from common.messages.frame import (
    content_of,
    invalid,
    read_array,
    read_floats,
    read_head,
    require_same,
)
from common.privacy.histograms import CELLS, Integers

VOTES = "votes"
VOTES_TYPE = f"query.{VOTES}"


@dataclass(frozen=True)
class VotesRequest:
    """What the server asks of a site: the study's release of a number, of a task, for theta [d]."""

    study: str
    release: int
    task: str
    theta: Tensor


def votes_request_content(request: VotesRequest) -> RecordDict:
    """Return the message content of a request."""
    head: dict[str, str | int | bytes] = {
        "study": request.study,
        "release": request.release,
        "task": request.task,
    }
    return content_of(head, request.theta.detach().float().numpy())


def read_votes_request(content: RecordDict, *, study: str, dim: int) -> VotesRequest:
    """Return the checked request, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study.
    """
    head = read_head(content, {"study": str, "release": int, "task": str}, vector=True)
    require_same(head["study"], study, "wrong-study", "the server runs another study")
    theta = read_floats(content, dim=dim)
    return VotesRequest(study, int(head["release"]), str(head["task"]), theta)


def votes_content(request: VotesRequest, counts: Integers) -> RecordDict:
    """Return a site's answer: its noised counts [CELLS], int64."""
    head: dict[str, str | int | bytes] = {
        "study": request.study,
        "release": request.release,
        "task": request.task,
    }
    return content_of(head, counts)


def read_votes(content: RecordDict, *, request: VotesRequest, low: float, high: float) -> Integers:
    """Return the checked counts [CELLS], each from `low` to `high`.

    Raises:
        InvalidMessage: the content breaks the contract or answers another request.
    """
    head = read_head(content, {"study": str, "release": int, "task": str}, vector=True)
    require_same(head["study"], request.study, "wrong-study", "the votes are of another study")
    asked = (request.release, request.task)
    found = (head["release"], head["task"])
    require_same(found, asked, "wrong-ballot", "the votes are of another ballot")
    counts: Integers = read_array(content, dim=CELLS, dtype=np.int64)
    if not (low <= counts.min() and counts.max() <= high):
        raise invalid("implausible-votes", "a count is one that no such site can have")
    return counts.copy()
