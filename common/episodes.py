"""Tasks, and the patient-disjoint episodes that are drawn from them.

An episode is one support set and one query set of one task. In a round no patient of a site stands
in two episodes, nor in both sets of one: that is what later bounds a patient's influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import SettingsError, TableError

Prevalence = Literal["natural", "balanced"]


@dataclass(frozen=True)
class Task:
    """One diagnostic question at one site: row i is one patient.

    x: float32 [n, features], imputed and scaled; y: int64 [n], the class; patient: int64 [n],
    the patient's index at the site, the same in all the site's tasks.
    """

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    patient: NDArray[np.int64]


@dataclass(frozen=True)
class Site:
    """A hospital as its client sees it: a name, a secret key for its draws, and its tasks."""

    name: str
    key: bytes
    tasks: Sequence[Task]


class Rows(NamedTuple):
    """Labelled patients: x [..., n, features], y [..., n], weight [..., n] (0 marks padding)."""

    x: Tensor
    y: Tensor
    weight: Tensor


class Episode(NamedTuple):
    """A support and a query set; a batch of episodes has one more leading dimension."""

    support: Rows
    query: Rows


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """How many patients an episode holds and how many episodes a site draws in a round.

    prevalence: "natural" draws patients as they come; "balanced" draws equally many of each class,
    as far as there are, in support and query alike.
    """

    support: int = 10
    query: int = 15
    meta_batch: int = 8
    prevalence: Prevalence = "natural"

    def __post_init__(self) -> None:
        for name in ("support", "query", "meta_batch"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"{name} is {getattr(self, name)}", where="episodes", remedy="give 1 or more"
                )


def draw_episodes(tasks: Sequence[Task], plan: EpisodePlan, rng: np.random.Generator) -> Episode:
    """Return up to `plan.meta_batch` episodes, stacked: support.x is [E, support, features].

    Tasks take turns in random order; each episode takes patients that no earlier one has. When the
    site's patients run out there are fewer episodes; a short episode is padded with weight 0.

    Raises:
        TableError: not one episode could be drawn.
    """
    used = np.zeros(
        1 + max((int(t.patient.max(initial=-1)) for t in tasks), default=-1), dtype=bool
    )
    able, order = set(range(len(tasks))), list[int]()
    drawn: list[Episode] = []
    while able and len(drawn) < plan.meta_batch:
        order = order or [i for i in rng.permutation(len(tasks)) if i in able]
        task = tasks[i := order.pop()]
        support, query = _draw_one(task, np.flatnonzero(~used[task.patient]), plan, rng)
        if len(support) and len(query):
            used[task.patient[support]] = used[task.patient[query]] = True
            drawn.append(pack(task, support, query, plan))
        else:
            able.discard(i)  # patients are only ever used up, so it stays out
    if not drawn:
        raise TableError(
            f"no episode can be drawn from {len(tasks)} task(s)",
            where="the site's patients",
            remedy="add patients or tasks, or ask for smaller support and query sets",
        )
    return stack(drawn)


def pack(
    task: Task, support: NDArray[np.int64], query: NDArray[np.int64], plan: EpisodePlan
) -> Episode:
    """Return one episode of the given row numbers, padded to the plan's sizes.

    Raises:
        TableError: support or query is empty; its mean loss would be 0 / 0.
    """
    if not (len(support) and len(query)):
        raise TableError(
            "an episode needs patients in support and query", where=task.name, remedy="add patients"
        )
    return Episode(_rows(task, support, plan.support), _rows(task, query, plan.query))


def stack(episodes: Sequence[Episode]) -> Episode:
    """Return the episodes as one batch with a leading dimension."""
    sides = [(e.support, e.query) for e in episodes]
    return Episode(
        *(Rows(*map(torch.stack, zip(*side, strict=True))) for side in zip(*sides, strict=True))
    )


def _rows(task: Task, rows: NDArray[np.int64], size: int) -> Rows:
    x = np.zeros((size, *task.x.shape[1:]), dtype=np.float32)
    y = np.zeros((size, *task.y.shape[1:]), dtype=task.y.dtype)
    weight = np.zeros(size, dtype=np.float32)
    x[: len(rows)], y[: len(rows)], weight[: len(rows)] = task.x[rows], task.y[rows], 1
    return Rows(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(weight))


def _draw_one(
    task: Task, free: NDArray[np.int64], plan: EpisodePlan, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row numbers of support and query, disjoint, from the rows in `free`."""
    if plan.prevalence == "natural":
        return _split(rng.permutation(free), plan.support, plan.query)
    classes = np.unique(task.y)
    if min(plan.support, plan.query) < len(classes):
        raise SettingsError(
            f"{plan.support} + {plan.query} rows cannot hold {len(classes)} classes in balance",
            where=f"task {task.name}",
            remedy="enlarge support and query to the number of classes, or draw naturally",
        )
    shares = [_share(plan, i, len(classes)) for i in range(len(classes))]
    halves = [
        _split(rng.permutation(free[task.y[free] == c]), *share)
        for c, share in zip(classes, shares, strict=True)
    ]
    if not halves or any(len(s) == 0 or len(q) == 0 for s, q in halves):
        return free[:0], free[:0]  # a class has run out
    return np.concatenate([s for s, _ in halves]), np.concatenate([q for _, q in halves])


def _share(plan: EpisodePlan, index: int, classes: int) -> tuple[int, int]:
    """Return how many of class `index` go to support and query, `classes` sharing equally."""
    return (plan.support + index) // classes, (plan.query + index) // classes


def _split(
    rows: NDArray[np.int64], support: int, query: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first rows as support, the next as query; too few are shared in proportion."""
    if len(rows) < support + query:
        wanted = round(len(rows) * support / (support + query))
        support = min(max(1, wanted), max(0, len(rows) - 1))
    return rows[:support], rows[support : support + query]
