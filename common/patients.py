"""A site's patients as arrays, and the tasks that they offer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.episodes import Task
from common.features import allowed_inputs
from common.study import Study

MISSING = -1
"""The label of a patient for whom a diagnosis is not known."""


@dataclass(frozen=True)
class Patients:
    """The patients of one site; row i is one patient, once.

    x: float32 [n, inputs]. labels: int64 [n, tasks], in the study's order of tasks, MISSING where
    unknown. group: [n], the name of the patient group, "" if the study has no groups.
    """

    site: str
    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: NDArray[np.int64]) -> "Patients":
        """Return the patients in these rows only."""
        return Patients(self.site, self.x[rows], self.labels[rows], self.group[rows])


def tasks_of(
    patients: Patients, study: Study, names: Sequence[str], *, min_per_class: int = 2
) -> list[Task]:
    """Return the tasks of the given names that the patients can offer, in the study's order.

    A task needs `min_per_class` patients of each class. Features that would leak its label are
    blanked, together with their indicators.
    """
    tasks = []
    for column, rule in enumerate(study.tasks):
        y = patients.labels[:, column]
        rows = np.flatnonzero(y != MISSING)
        if rule.name in names and np.bincount(y[rows], minlength=2).min() >= min_per_class:
            x = patients.x[rows] * allowed_inputs(study.features, rule)
            tasks.append(Task(rule.name, x.astype(np.float32, copy=False), y[rows], rows))
    return tasks
