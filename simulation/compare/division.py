"""Who trains, who validates, who tests: cross-fitted, so that few sites need not give any up.

A fold sets patients apart that play the part of the test: its starts are trained without them and
judged on them. With many sites one fold of whole sites is enough, and its starts are the final
ones. With few, each site, group or set of diagnoses is set apart in turn, and the final starts are
trained on all of them; no fold sets apart more than half of the patients, or its starts would say
little about the final ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.episodes import Task
from common.patients import Patients
from common.randomness import generator
from simulation.datasets.base import Dataset
from simulation.scenarios import (
    TEST_SHARE,
    VALIDATION_SHARE,
    HeldOut,
    Part,
    Rows,
    cut,
    held_out_tasks,
    patient_groups,
    training_tasks,
)
from simulation.source import Plan

PARTS = 3
"""A site that cannot be set apart as a whole is in so many parts; diagnoses are in so many sets."""
LARGE = 0.5


@dataclass(frozen=True)
class Fold:
    """Tasks to train on, by site, and tasks to judge on."""

    train: Mapping[str, Sequence[Task]]
    held: Sequence[HeldOut]


@dataclass(frozen=True)
class Division:
    """The final training tasks, the folds of validation, and the test tasks."""

    train: Mapping[str, Sequence[Task]]
    folds: Sequence[Fold]
    test: Sequence[HeldOut]


Parts = dict[str, list[Part]]


def divide(plan: Plan, held_out: Sequence[str], seed: int) -> Division:
    """Return the division of a plan; no patient of a fold's `held` is in its `train`."""
    split, dataset = plan.split, plan.dataset
    apart = {held.site for held in split.validation}
    if plan.scenario == "few-shot" and apart and apart.isdisjoint(split.train):
        return Division(split.train, [Fold(split.train, split.validation)], split.test)
    make = {"few-shot": _by_site, "personalised": _by_group, "cross-domain": _by_diagnosis}
    usable, pairs = make[plan.scenario](plan, held_out, seed)
    folds = [_fold(dataset, train, held) for train, held in pairs]
    return Division(_train(dataset, usable), [f for f in folds if f.train and f.held], split.test)


def _fold(dataset: Dataset, train: Parts, held: Parts) -> Fold:
    tasks = [
        task
        for site, parts in held.items()
        for task in held_out_tasks(dataset, dataset.patients[site], parts)
    ]
    return Fold(_train(dataset, train), tasks)


def _train(dataset: Dataset, parts: Parts) -> dict[str, list[Task]]:
    found = {
        site: [t for part in own for t in training_tasks(dataset, dataset.patients[site], part)]
        for site, own in parts.items()
    }
    return {site: tasks for site, tasks in found.items() if tasks}


_Made = tuple[Parts, list[tuple[Parts, Parts]]]


def _by_site(plan: Plan, held_out: Sequence[str], seed: int) -> _Made:
    patients = plan.dataset.patients
    names = [task.name for task in plan.dataset.study.tasks]
    test = set(held_out or plan.dataset.held_out_sites)
    rows = {site: np.arange(len(p)) for site, p in patients.items() if site not in test}
    return _whole(rows, names), list(_in_turn(rows, names, seed))


def _whole(rows: Mapping[str, Rows], names: Sequence[str]) -> Parts:
    return {site: [Part(own, names)] for site, own in rows.items()}


def _in_turn(
    rows: Mapping[str, Rows], names: Sequence[str], seed: int
) -> Iterator[tuple[Parts, Parts]]:
    """Set each site apart, a large one by parts; with a single site, its parts."""
    total = sum(map(len, rows.values()))
    for site, own in rows.items():
        parts = [own]
        if len(own) > LARGE * total:
            order = generator(seed, "fold", site).permutation(own)
            parts = [np.sort(part) for part in np.array_split(order, PARTS)]
        for part in parts:
            rest = {**rows, site: np.setdiff1d(own, part)}
            left = {name: other for name, other in rest.items() if len(other)}
            yield _whole(left, names), {site: [Part(part, names)]}


def _by_group(plan: Plan, held_out: Sequence[str], seed: int) -> _Made:
    """Set another group of each site apart than the test's; without a third, parts of patients."""
    dataset = plan.dataset
    names, groups = [task.name for task in dataset.study.tasks], patient_groups(dataset)
    turn = {site: (i + seed) % len(groups) for i, site in enumerate(dataset.patients)}

    def own(site: str, step: int) -> set[str]:
        if held_out:
            others = [g for g in groups if g not in held_out]
            return set(held_out) if step == 0 else {others[(turn[site] + step) % len(others)]}
        return {groups[(turn[site] + step) % len(groups)]}

    free = {
        site: np.flatnonzero(~np.isin(p.group, list(own(site, 0))))
        for site, p in dataset.patients.items()
    }
    steps = len(groups) - max(len(held_out), 1)
    if steps < 2:
        return _whole(free, names), list(_thirds(free, names, seed))
    pairs = []
    for step in range(1, steps + 1):
        out = {
            site: rows[np.isin(dataset.patients[site].group[rows], list(own(site, step)))]
            for site, rows in free.items()
        }
        rest = {site: np.setdiff1d(rows, out[site]) for site, rows in free.items()}
        held = {
            site: [Part(rows, names, next(iter(own(site, step))))] for site, rows in out.items()
        }
        pairs.append((_whole(rest, names), held))
    return _whole(free, names), pairs


def _thirds(
    rows: Mapping[str, Rows], names: Sequence[str], seed: int
) -> Iterator[tuple[Parts, Parts]]:
    orders = {site: generator(seed, "fold", site).permutation(own) for site, own in rows.items()}
    for number in range(PARTS):
        held = {site: np.sort(order[number::PARTS]) for site, order in orders.items()}
        rest = {site: np.setdiff1d(own, held[site]) for site, own in rows.items()}
        yield _whole(rest, names), _whole(held, names)


def _by_diagnosis(plan: Plan, held_out: Sequence[str], seed: int) -> _Made:
    """Set some diagnoses apart, on patients of their own."""
    dataset = plan.dataset
    test = set(held_out or dataset.held_out_tasks)
    names = [task.name for task in dataset.study.tasks if task.name not in test]
    free = {site: _not_tested(p, seed) for site, p in dataset.patients.items()}
    if len(names) == 1:  # none can be new: other patients must do
        return _whole(free, names), list(_thirds(free, names, seed))
    pairs, sets = [], min(PARTS, len(names))
    for number in range(sets):
        apart = names[number::sets]
        others = [name for name in names if name not in apart]
        halves = {site: _halves(rows, seed, site) for site, rows in free.items()}
        train = {site: [Part(rest, others)] for site, (_, rest) in halves.items()}
        pairs.append((train, {site: [Part(own, apart)] for site, (own, _) in halves.items()}))
    return _whole(free, names), pairs


def _not_tested(patients: Patients, seed: int) -> Rows:
    shares = (VALIDATION_SHARE, TEST_SHARE)
    validation, _, rest = cut(len(patients), shares, seed, patients.site)
    return np.union1d(validation, rest)


def _halves(rows: Rows, seed: int, site: str) -> tuple[Rows, Rows]:
    order = generator(seed, "fold", site).permutation(rows)
    return np.sort(order[: len(rows) * 2 // 5]), np.sort(order[len(rows) * 2 // 5 :])
