"""What is trained for a comparison on some tasks: the starts of the gate, and the baselines.

Where a diagnosis is known, a start trained for it alone stands beside the one trained on all
diagnoses (name `...-task`): sites agree on what it means, and an initialization for all cannot know
which one it is asked for. Baselines get it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from common.episodes import Task
from common.personal.starts import Start
from common.sources import RunSettings
from common.study import Study
from simulation.scenarios import Split
from simulation.source import DEFAULTS, Plan, tailored
from simulation.training import train_in_memory

BASELINES = ("fedavg", "fedprox")
OWN = "-task"
"""The end of a start's name that was trained for one diagnosis."""
Tasks = Mapping[str, Sequence[Task]]


class Classifier(Protocol):
    """What is used of a scikit-learn classifier."""

    def fit(self, x: Any, y: Any) -> Any:
        """Fit to x [n, inputs], y [n]."""

    def predict_proba(self, x: Any) -> Any:
        """Return the probabilities [n, 2]."""


@dataclass
class Cast:
    """All that was trained on some tasks. starts: by name and diagnosis, "" is all."""

    main: str
    tasks: Tasks
    starts: dict[tuple[str, str], Start] = field(default_factory=dict)
    studies: dict[tuple[str, str], Study] = field(default_factory=dict)
    pooled: dict[tuple[str, str], Classifier] = field(default_factory=dict)

    def knows(self, task: str) -> bool:
        """Whether starts were trained for this very diagnosis."""
        return (self.main, task) in self.starts

    def start(self, algorithm: str, task: str) -> Start:
        """Return the algorithm's start for a diagnosis, or that for all where there is none."""
        return self.starts.get((algorithm, task), self.starts[algorithm, ""])

    def gate_starts(self, task: str) -> list[Start]:
        """Return the starts that the gate may use for a diagnosis."""
        algorithms = dict.fromkeys([self.main, "fedavg"])
        keys = [(a, t) for t in ("", task) for a in algorithms]
        return [self.starts[key] for key in keys if key in self.starts]

    def pooled_model(self, kind: str, task: str) -> Classifier:
        """Return a model of all training patients of a diagnosis, of all tasks if it is new."""
        if (kind, task) not in self.pooled:
            own = [t for ts in self.tasks.values() for t in ts if t.name == task]
            used = own or [t for ts in self.tasks.values() for t in ts]
            x, y = (np.concatenate([getattr(t, part) for t in used]) for part in ("x", "y"))
            model: Classifier = LogisticRegression(C=1.0, max_iter=1000)
            if kind == "trees":
                model = HistGradientBoostingClassifier(max_iter=100, random_state=0)
            model.fit(x, y)
            self.pooled[kind, task] = model
        return self.pooled[kind, task]

    def pooled_probability(self, kind: str, task: str, x: torch.Tensor) -> NDArray[np.float64]:
        """Return P(y = 1) [n] of that model."""
        p: NDArray[np.float64] = self.pooled_model(kind, task).predict_proba(x.numpy())[:, 1]
        return p


def train_cast(
    plan: Plan, settings: RunSettings, tasks: Tasks, diagnoses: Sequence[str], seed: int
) -> Cast:
    """Train on tasks, by site; starts of their own for the `diagnoses` that sites offer."""
    main = tailored(plan, settings).algorithm.name
    cast = Cast(main, tasks)
    for algorithm in dict.fromkeys([main, *BASELINES]):
        given = settings if algorithm == main else _plain(settings)
        for task in ("", *diagnoses):
            own = _of_task(tasks, task)
            if not own:
                continue
            study = tailored(
                replace(plan, split=Split(train=dict(own))), {**given, "algorithm": algorithm}
            )
            learner, meta = train_in_memory(study, own, seed)
            name = algorithm + OWN * bool(task)
            cast.starts[algorithm, task] = Start(name, learner, meta, task)
            cast.studies[algorithm, task] = study
    return cast


def _plain(settings: RunSettings) -> RunSettings:
    """Return the settings with the inner loop of the baselines left at its default."""
    return {**settings, **{key: DEFAULTS[key] for key in ("inner-lr", "inner-steps")}}


def _of_task(tasks: Tasks, name: str) -> dict[str, list[Task]]:
    """Return the tasks of a diagnosis, by site; all of them for "" ."""
    found = {site: [t for t in own if name in ("", t.name)] for site, own in tasks.items()}
    return {site: own for site, own in found.items() if own}
