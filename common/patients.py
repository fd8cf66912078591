"""A site's patients as arrays, and the tasks that they offer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.episodes import Task
from common.features import allowed_inputs
from common.study import Study, TaskRule

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

MISSING = -1
"""The label of a patient for whom a diagnosis is not known."""


@dataclass(frozen=True)
class Patients:
    """The patients of one site; row i is one patient, once.

    x: float32 [n, inputs], or rows of any shape for a model that takes them. labels: int64
    [n, tasks], in the study's order of tasks, MISSING where unknown. group: [n], the name of the
    patient group, "" if the study has no groups.
    """

    site: str
    x: Floats
    labels: NDArray[np.int64]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Rows) -> "Patients":
        """Return the patients in these rows only."""
        return Patients(self.site, self.x[rows], self.labels[rows], self.group[rows])


def tasks_of(
    patients: Patients,
    study: Study,
    names: Sequence[str],
    *,
    rows: Rows | None = None,
    min_per_class: int = 2,
) -> list[Task]:
    """Return the tasks of the given names that the patients can offer, in the study's order.

    A task needs `min_per_class` patients of each class. Features that would leak its label are
    blanked, together with their indicators. Tasks of the same patients and features share one x,
    which is the patients' own if that is all of them: a site's tasks take the memory of one.

    rows: use these patients only, ascending and each once; they keep their numbers.
    """
    rows = np.arange(len(patients)) if rows is None else rows
    shared: dict[tuple[bytes, tuple[str, ...]], tuple[Floats, Rows]] = {}
    tasks = []
    for column, rule in enumerate(study.tasks):
        labels = patients.labels[:, column]
        known = _chosen(labels, rows) != MISSING
        if rule.name not in names or not _enough(_chosen(labels, rows)[known], min_per_class):
            continue
        what = known.tobytes(), rule.forbidden
        if what not in shared:
            shared[what] = _inputs(patients, rows[known], study, rule)
        x, patient = shared[what]
        tasks.append(Task(rule.name, x, _chosen(labels, patient), patient))
    return tasks


def _inputs(patients: Patients, rows: Rows, study: Study, rule: TaskRule) -> tuple[Floats, Rows]:
    """Return the inputs that a task may see of these patients, and the patients."""
    x = _chosen(patients.x, rows)
    if rule.forbidden:
        x = x * allowed_inputs(study.features, rule)
    return x.astype(np.float32, copy=False), rows


def _chosen(values: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Return these rows, ascending and each once, of an array: without a copy if it is all."""
    return values if len(rows) == len(values) else values[rows]


def _enough(y: NDArray[np.int64], min_per_class: int) -> bool:
    return bool(np.bincount(y, minlength=2).min() >= min_per_class)
