"""Virtual hospitals: generated ones, public records, a table, or arrays of one's own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from common.patients import Patients
from common.sources import RunSettings
from common.study import Feature, Study, TaskRule
from simulation.datasets.base import Dataset
from simulation.scenarios import Scenario, split
from simulation.source import DEFAULTS, Plan, make_plan


@dataclass(frozen=True, repr=False)
class Hospitals(Plan):
    """Hospitals that train, and the tasks that took no part.

    split: the tasks of meta-training by hospital, of validation and of test. seed: of all draws.
    origin: the settings that make the same hospitals in another process, None if there are none.
    """

    seed: int = 0
    origin: RunSettings | None = None

    def __repr__(self) -> str:
        train, validation, test = self.split.train, self.split.validation, self.split.test
        return (
            f"<{self.dataset.name}, {self.scenario}: {len(train)} hospitals train, "
            f"{len(validation)} tasks validate, {len(test)} test>"
        )


def hospitals(
    dataset: str = "synthetic",
    *,
    sites: int = 0,
    scenario: Scenario = "few-shot",
    held_out: Sequence[str] = (),
    data: Path | str = "",
    study: Path | str = "",
    seed: int = 0,
) -> Hospitals:
    """Return hospitals by the name of their data set, as `wardround simulate --dataset` takes it.

    Args:
        dataset: a generated one (`synthetic`, `synthetic-control`, ...), `thyroid`, `uci-heart`, or
            `table`, any table with a column of sites.
        sites: how many hospitals to generate; 0 is the data set's own number.
        scenario: what took no part in meta-training: `few-shot` hospitals, `personalised` a group
            of patients at each, `cross-domain` diagnoses.
        held_out: their names; none is the data set's own choice.
        data: the file or folder of a data set that needs one.
        study: the study.toml through which a table is read.
        seed: of the generator, the division and all draws.

    Raises:
        SettingsError: a name is unknown. TableError: the data cannot be used.
    """
    origin = {**DEFAULTS, "data": str(data), "study": str(study), "held-out": ";".join(held_out)}
    origin |= {"dataset": dataset, "sites": sites, "scenario": scenario, "seed": seed}
    plan = make_plan(origin)
    return Hospitals(plan.dataset, plan.scenario, plan.split, seed, origin)


def hospitals_of(
    patients: Sequence[Patients],
    tasks: Sequence[str],
    *,
    scenario: Scenario = "few-shot",
    held_out: Sequence[str] = (),
    name: str = "own",
    seed: int = 0,
) -> Hospitals:
    """Return hospitals of arrays; rows may have any shape that the model takes.

    Args:
        patients: of each hospital, under its name.
        tasks: names of the columns of their labels.
        scenario: as for `hospitals`.
        held_out: by default the last quarter of the hospitals, or of the tasks.
        name: of the data set.
        seed: of the division and all draws.

    Raises:
        SettingsError: arrays do not fit together, or nobody is left to train or to test on.
    """
    for one in patients:
        _check(one, patients[0], tasks)
    sites = [one.site for one in patients]
    own = Dataset(
        name=name,
        study=_study(name, patients[0], tasks),
        patients={one.site: one for one in patients},
        note="",
        held_out_sites=tuple(sites[-max(1, len(sites) // 4) :]),
        held_out_tasks=tuple(tasks[-max(1, len(tasks) // 4) :]),
        validation_tasks=(),
    )
    return Hospitals(own, scenario, split(own, scenario, held_out=held_out, seed=seed), seed)


def _check(one: Patients, first: Patients, tasks: Sequence[str]) -> None:
    wanted: dict[str, tuple[NDArray[Any], type[np.generic], tuple[int, ...]]] = {
        "x": (one.x, np.float32, (len(one), *first.x.shape[1:])),
        "labels": (one.labels, np.int64, (len(one), len(tasks))),
    }
    for name, (array, dtype, shape) in wanted.items():
        if array.dtype != dtype or array.shape != shape:
            raise SettingsError(
                f"{name} is {array.dtype} {list(array.shape)}",
                where=f"patients of {one.site}",
                remedy=f"give {np.dtype(dtype)} {list(shape)}",
            )


def _study(name: str, first: Patients, tasks: Sequence[str]) -> Study:
    """Return a study of these tasks: a feature a column; rows of another shape are one feature."""
    columns = math.prod(first.x.shape[1:]) if first.x.ndim == 2 else 1
    return Study(
        name=name,
        features=tuple(Feature(name=f"x{j}", may_be_missing=False) for j in range(columns)),
        tasks=tuple(TaskRule(name=task, column=task) for task in tasks),
    )
