"""Scenarios: who trains the initialization, and on whom it is judged.

few-shot      A hospital that took no part has few labels. Held out: sites, all their tasks.
personalised  A patient group took no part; adapt to it. Held out: one group of each site.
cross-domain  A diagnosis took no part; adapt to it. Held out: diagnoses, on patients of their own.

In each, no patient of meta-training stands in validation or test, nor one of validation in test,
under any diagnosis. Validation tasks serve to choose settings; test tasks serve to report only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from common.episodes import Task
from common.errors import SettingsError
from common.patients import Patients, tasks_of
from common.randomness import generator
from simulation.datasets.base import Dataset

Scenario = Literal["few-shot", "personalised", "cross-domain"]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

VALIDATION_SHARE, TEST_SHARE = 0.2, 0.4
MANY_SITES = 8
"""From this many training sites on, whole sites are set apart for validation."""
MIN_TRAIN_PER_CLASS = 4


@dataclass(frozen=True)
class HeldOut:
    """A task that took no part in meta-training; `truth` is P(y = 1) [n] where it is known."""

    site: str
    task: Task
    group: str = ""
    truth: Floats | None = None

    @property
    def name(self) -> str:
        """Site, patient group if any, and diagnosis, as the report shows them."""
        return " / ".join(part for part in (self.site, self.group, self.task.name) if part)


@dataclass
class Split:
    """The tasks of a scenario: by site for meta-training, in a list for validation and test.

    idle: sites that could have trained, but have too few patients of any class for every task.
    """

    train: dict[str, list[Task]] = field(default_factory=dict)
    validation: list[HeldOut] = field(default_factory=list)
    test: list[HeldOut] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """Some patients of a site, and the diagnoses they are used for."""

    rows: Rows
    diagnoses: Sequence[str]
    group: str = ""


Parts = tuple[list[Part], list[Part], list[Part]]
"""What of a site goes to meta-training, to validation and to test."""


def split(dataset: Dataset, scenario: Scenario, *, held_out: Sequence[str], seed: int) -> Split:
    """Return the scenario's tasks.

    held_out: names of sites (few-shot), patient groups (personalised) or diagnoses (cross-domain);
    empty takes the data set's own choice.

    Raises:
        SettingsError: a name is unknown, or nobody is left to train or to test on.
    """
    divide = _DIVISIONS[scenario](dataset, tuple(held_out), seed)
    result = Split()
    for site, patients in dataset.patients.items():
        train, validation, test = divide(site, patients)
        tasks = [task for part in train for task in training_tasks(dataset, patients, part)]
        if tasks:
            result.train[site] = tasks
        elif train:
            result.idle.append(site)
        result.validation += held_out_tasks(dataset, patients, validation)
        result.test += held_out_tasks(dataset, patients, test)
    if not result.train or not result.test:
        raise SettingsError(
            f"no {'training' if not result.train else 'held-out'} task is left",
            where=f"scenario {scenario}",
            remedy="hold out fewer sites, groups or diagnoses, or use a larger data set",
        )
    return result


def _few_shot(
    dataset: Dataset, held_out: tuple[str, ...], seed: int
) -> Callable[[str, Patients], Parts]:
    test_sites = set(held_out or dataset.held_out_sites)
    _check(held_out or dataset.held_out_sites, list(dataset.patients), "site")
    others = [site for site in dataset.patients if site not in test_sites]
    tuning: set[str] = set()
    if len(others) >= MANY_SITES:
        size = max(2, round(VALIDATION_SHARE * len(others)))
        rng = generator(seed, "validation sites")
        tuning = set(rng.choice(others, size=size, replace=False).tolist())
    diagnoses = [task.name for task in dataset.study.tasks]

    def divide(site: str, patients: Patients) -> Parts:
        whole = [Part(np.arange(len(patients)), diagnoses)]
        if site in test_sites:
            return [], [], whole
        if tuning:
            return ([], whole, []) if site in tuning else (whole, [], [])
        held, rest = cut(len(patients), (VALIDATION_SHARE,), seed, site)
        return [Part(rest, diagnoses)], [Part(held, diagnoses)], []

    return divide


def _cross_domain(
    dataset: Dataset, held_out: tuple[str, ...], seed: int
) -> Callable[[str, Patients], Parts]:
    names = [task.name for task in dataset.study.tasks]
    if len(names) < 2:
        raise SettingsError(
            f"{dataset.name} has one diagnosis, so none can be held out",
            where="scenario cross-domain",
            remedy="choose another scenario, or a data set with several diagnoses",
        )
    test = held_out or dataset.held_out_tasks
    _check(test, names, "task")
    tuning = [name for name in dataset.validation_tasks if name not in test]
    train = [name for name in names if name not in test and name not in tuning]

    def divide(site: str, patients: Patients) -> Parts:
        shares = (VALIDATION_SHARE, TEST_SHARE)
        validation_rows, test_rows, rest = cut(len(patients), shares, seed, site)
        validation = [Part(validation_rows, tuning or train)]
        return [Part(rest, train)], validation, [Part(test_rows, list(test))]

    return divide


def _personalised(
    dataset: Dataset, held_out: tuple[str, ...], seed: int
) -> Callable[[str, Patients], Parts]:
    groups = patient_groups(dataset)
    if len(groups) < 2:
        raise SettingsError(
            "the study divides its patients into fewer than two groups",
            where="scenario personalised",
            remedy="add [[groups]] to the study",
        )
    _check(held_out, groups, "patient group")
    diagnoses = [task.name for task in dataset.study.tasks]
    order = {site: i for i, site in enumerate(dataset.patients)}

    def divide(site: str, patients: Patients) -> Parts:
        own = held_out or (groups[(order[site] + seed) % len(groups)],)
        rows = np.flatnonzero(~np.isin(patients.group, own))
        held, rest = (rows[part] for part in cut(len(rows), (VALIDATION_SHARE,), seed, site))
        test = [Part(np.flatnonzero(patients.group == g), diagnoses, g) for g in own]
        return [Part(rest, diagnoses)], [Part(held, diagnoses)], test

    return divide


def patient_groups(dataset: Dataset) -> list[str]:
    """Return the names of the patient groups that are known, in order."""
    groups = {g for p in dataset.patients.values() for g in np.unique(p.group).tolist()}
    return sorted(group for group in groups if "unknown" not in group)


_Division = Callable[[Dataset, tuple[str, ...], int], Callable[[str, Patients], Parts]]
_DIVISIONS: Mapping[Scenario, _Division] = {
    "few-shot": _few_shot,
    "personalised": _personalised,
    "cross-domain": _cross_domain,
}
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)


def cut(n: int, shares: tuple[float, ...], seed: int, site: str) -> list[Rows]:
    """Return n row numbers in random parts of the given shares, and the rest as the last part."""
    order = generator(seed, "split", site).permutation(n)
    return [np.sort(part) for part in np.split(order, np.cumsum([round(s * n) for s in shares]))]


def training_tasks(dataset: Dataset, patients: Patients, part: Part) -> list[Task]:
    """Return the part's meta-training tasks."""
    return tasks_of(
        patients,
        dataset.study,
        part.diagnoses,
        rows=part.rows,
        min_per_class=MIN_TRAIN_PER_CLASS,
    )


def held_out_tasks(dataset: Dataset, patients: Patients, parts: Sequence[Part]) -> list[HeldOut]:
    """Return the tasks of parts that do not train; each has a patient of each class at least."""
    columns = {rule.name: i for i, rule in enumerate(dataset.study.tasks)}
    known = dataset.probabilities[patients.site] if dataset.probabilities is not None else None
    return [
        HeldOut(patients.site, task, part.group, _truth(known, columns[task.name], task.patient))
        for part in parts
        for task in tasks_of(
            patients, dataset.study, part.diagnoses, rows=part.rows, min_per_class=1
        )
    ]


def _truth(known: Floats | None, column: int, rows: Rows) -> Floats | None:
    """Return P(y = 1) of these patients; without a copy if they are all."""
    if known is None:
        return None
    return known[:, column] if len(rows) == len(known) else known[rows, column]


def _check(names: Sequence[str], known: Sequence[str], kind: str) -> None:
    there = set(known)
    if unknown := [name for name in names if name not in there]:
        raise SettingsError(
            f"there is no {kind} {unknown[0]!r}",
            where="--held-out",
            remedy=f"choose from {', '.join(known)}",
        )


def describe(parts: Split) -> list[dict[str, str | int]]:
    """Return one line a site and training task: how many patients, how many positive."""
    return [
        {"site": site, "task": t.name, "patients": len(t.y), "positive": int(t.y.sum())}
        for site, tasks in parts.train.items()
        for t in tasks
    ]
