"""Which histograms of scores leave the sites of a study: decided before anybody looks at data.

The plan follows from the study alone, so that coordinator and sites hold the same one: neither is
asked for what the other did not agree to, and no number of patients decides but declared ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

from common.crypto import digest
from common.errors import PrivacyError
from common.privacy.histograms import Declared, require_sizes
from common.study import Study

_LABEL = "wardround/votes/v1"


class Ballot(NamedTuple):
    """The study's release of number 1, 2, ...: the scores of a task, and who votes.

    declared: by site, in the study's order, its public numbers of patients by class.
    """

    release: int
    task: str
    declared: Mapping[str, Declared]


class Ballots(NamedTuple):
    """All that a study plans to measure; refused: the tasks that it cannot, and why not."""

    planned: tuple[Ballot, ...]
    refused: Mapping[str, str]


def ballots_of(study: Study) -> Ballots:
    """Return the study's ballots: its tasks in order, as many as it allows releases.

    A task whose declared sizes are too small for an evaluation takes up no release.
    """
    planned, refused = list[Ballot](), dict[str, str]()
    for task in study.tasks if study.evaluation.metric_releases else ():
        voters = {
            site.name: Declared(*site.classes[task.name])
            for site in study.sites
            if task.name in site.classes
        }
        try:
            require_sizes(list(voters.values()))
        except PrivacyError as error:
            refused[task.name] = error.what
            continue
        if len(planned) == study.evaluation.metric_releases:
            refused[task.name] = f"all {len(planned)} releases go to the tasks before it"
            continue
        planned.append(Ballot(len(planned) + 1, task.name, voters))
    return Ballots(tuple(planned), refused)


def voted_digest(task: str, theta: bytes) -> str:
    """Return the hash of what a release is made from: a task, and theta as float32 bytes.

    A release has one: of another theta or another task it would be another release.
    """
    return digest(_LABEL, task, theta).hex()
