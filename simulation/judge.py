"""Judges what was trained: tunes the arms on validation tasks, scores them on test tasks.

The result is the object that `wardround simulate --json` prints; docs/results.md describes it.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.learner import Learner
from common.parameters import Params
from common.privacy.profiles import privacy_statement
from common.sources import RunSettings
from common.study import Study
from server.state import load_initialization, read_records, snapshot_path
from simulation.progress import Reporter
from simulation.scenarios import describe
from simulation.scoring import HeldOutTasks, learning_curve, scored
from simulation.source import Plan


@dataclass(frozen=True)
class Trained:
    """A trained initialization, its study, and the folder it lies in."""

    study: Study
    learner: Learner
    meta: Params
    folder: Path

    @property
    def name(self) -> str:
        """The algorithm's name, which is its arm's name."""
        return self.study.algorithm.name


def judge(
    plan: Plan,
    trained: Sequence[Trained],
    tasks: HeldOutTasks,
    settings: RunSettings,
    reporter: Reporter,
    *,
    number_of_workers: int = 1,
) -> dict[str, Any]:
    """Return the results of the trained initializations beside the local arms.

    They are the same for any number of worker processes.
    """
    main = trained[0]
    kept = [
        (run, index, load_initialization(snapshot_path(run.folder, index), run.learner))
        for run in trained
        for index in _kept(run)
    ]
    return {
        "schema": 1,
        "study": main.study.model_dump(mode="json", by_alias=True) | {"id": main.study.id},
        "settings": dict(settings),
        "versions": versions(),
        "dataset": plan.dataset.name,
        "scenario": plan.scenario,
        "note": plan.dataset.note,
        "privacy": privacy_statement(main.study, private=False),
        "training": describe(plan.split),
        "idle_sites": plan.split.idle,
        "rounds": [asdict(record) for record in _records(main)],
        "learning_curve": list(learning_curve(kept, tasks.validation, number_of_workers)),
        **scored(
            plan,
            trained,
            tasks,
            main.study.evaluation,
            int(settings["seed"]),
            reporter,
            number_of_workers=number_of_workers,
        ),
    }


def _kept(run: Trained) -> list[int]:
    """Return the rounds whose initialization was kept."""
    rounds = range(1, run.study.server.rounds + 1)
    return [index for index in rounds if snapshot_path(run.folder, index).exists()]


def _records(run: Trained) -> Sequence[Any]:
    return read_records(run.folder, run.study, run.learner)


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the software, also of `more` packages."""
    names = ("wardround", "flwr", "torch", "numpy", "scipy", *more)
    found = {name: version(name) for name in names}
    return found | {"python": platform.python_version(), "machine": platform.machine()}
