"""A published federation as a model folder: one start, and a gate that nobody has taught.

What `wardround coordinator export` writes has no validation tasks, since a federation sees no
patients. So the candidates get the weights that learning begins with, and the hospital's own
left-out predictions the power OWN_EVIDENCE. Prediction sets rest on the hospital's own patients
alone, and nobody is called unlike them. What that costs: the candidate `unlearned gate` of
`wardround compare` (docs/decisions/0023-adapting-a-published-run.md).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import RunFolderError
from common.learner import make_learner
from common.personal.candidates import candidates_of
from common.personal.conformal import GRID, Reference
from common.personal.gate import Gate, Scale, prior_log_weights
from common.personal.portfolio import (
    FILE,
    Kind,
    Portfolio,
    Rule,
    read_initialization,
    read_portfolio,
)
from common.personal.starts import Start
from common.publication.checks import check_folder
from common.publication.folder import Folder
from common.publication.manifest import MANIFEST, STUDY, TENSORS

OWN_EVIDENCE = 0.25
"""The power of the hospital's own evidence where no validation task has taught one."""
AT = 10
"""The k under which the rule is kept; it is the same for all."""


def read_model(folder: Path) -> Portfolio:
    """Return what a hospital adapts: a model folder, or a published federation.

    Raises:
        RunFolderError: it is neither, a file of it was changed, or it holds no study.
        SettingsError: a start's algorithm is not installed here.
    """
    published = (folder / MANIFEST).exists() and not (folder / FILE).exists()
    return read_published(folder) if published else read_portfolio(folder)


def read_published(folder: Path) -> Portfolio:
    """Return the portfolio of a published folder, which is checked as `wardround verify` does.

    Raises:
        RunFolderError: a check fails, or the study is not published.
        SettingsError: the study's algorithm is not installed here.
    """
    for check in check_folder(folder):
        if not check.holds:
            raise RunFolderError(
                f"{check.name}: {check.found}",
                where=str(folder),
                remedy="get the folder anew; wardround verify shows every check",
            )
    published = Folder(folder)
    if not published.has(STUDY):
        raise RunFolderError(
            "the study is not published, so nobody can say what the inputs mean",
            where=str(folder / STUDY),
            remedy="a study that declares few patients is withheld: ask the coordinator",
        )
    study = published.study
    learner = make_learner(study, seed=0)
    start = Start(study.algorithm.name, learner, read_initialization(folder / TENSORS, learner))
    trained = tuple(task.name for task in study.tasks)
    rules: dict[Kind, Rule] = {"new": unlearned_rule([start])}
    return Portfolio([start], [study], rules, _origin(published), trained)


def unlearned_rule(starts: Sequence[Start]) -> Rule:
    """Return the rule of a gate that was not learned: `tasks` is 0."""
    names = [candidate.name for candidate in candidates_of(starts)]
    logs = dict(zip(names, prior_log_weights(names).tolist(), strict=True))
    unbounded = np.ones(len(GRID))
    reference = Reference((unbounded, unbounded), familiar=1.0, trust=0.0)
    scale = Scale(logs, OWN_EVIDENCE, scale=1.0, bias=0.0, intercept_sd=0.0)
    return Rule(Gate({AT: scale}, tasks=0), {AT: reference})


def _origin(published: Folder) -> str:
    about = published.manifest
    state = "finished" if about.finished else "UNFINISHED"
    signer = f"signed by {about.signer}" if about.signer else "signed by nobody"
    return f"{about.name}, {about.rounds} of {about.planned} rounds, {state}, {signer}"
