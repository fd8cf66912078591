"""A hospital's votes on a model, on their way out: gate, debit, count, noise, store, send.

A study's release of a number is one for the whole study, whatever run asks for it: asked again, the
site sends the same bytes; asked with another theta or task, it refuses.
"""

from client.books import Due
from client.site import Opened
from client.stored import Key, Vector
from common.crypto import fresh_key
from common.errors import InvalidMessage
from common.messages.votes import VotesRequest
from common.privacy.accounting import MetricReleases
from common.privacy.ballots import ballots_of, voted_digest
from common.privacy.cost import metric_parameters
from common.privacy.histograms import Integers
from common.study import Study
from common.voting import released_votes, virtual_votes_key


def release_votes(opened: Opened, request: VotesRequest, *, fresh: int = 0) -> Integers:
    """Return the site's noised histogram [CELLS], int64, ready to leave.

    fresh: not 0, and of its own for each release, if what was released for this ballot before must
    not be sent again.

    Raises:
        WardroundError: the histogram may not leave, or there is none.
    """
    study, site, learner, books = opened.study, opened.site, opened.learner, opened.books
    _require_ballot(study, site.name, request)
    std = study.evaluation.metric_std
    what = made_from(request)

    def make(key: bytes) -> Integers:
        return released_votes(learner, request.theta, site, request.task, std=std, key=key)

    if books is None:  # a virtual site, or one whose study protects nobody
        return make(virtual_votes_key(site.key, request.release, request.task, fresh))

    def drawn() -> Vector:
        return make(fresh_key())

    parameters = metric_parameters(MetricReleases(std=std, releases=1))
    due = Due("metric", study.id, Key(study.id, request.release, what), parameters)
    return books.paid(due, drawn, fresh=bool(fresh))


def made_from(request: VotesRequest) -> str:
    """Return the hash of what a release is made from: the task and theta."""
    return voted_digest(request.task, request.theta.numpy().astype("<f4").tobytes())


def _require_ballot(study: Study, site: str, request: VotesRequest) -> None:
    """Return if the study plans this very release, and this site's vote in it."""
    for ballot in ballots_of(study).planned:
        asked = (request.release, request.task)
        if (ballot.release, ballot.task) == asked and site in ballot.declared:
            return
    raise InvalidMessage(
        "wrong-ballot",
        f"release {request.release} of the study is not of {request.task}, or not of this site",
        where=site,
        remedy="let the server run this very study",
    )
