"""What validation teaches a unit: each arm's settings, the gate, the reference of its sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from common.metrics import log_losses
from common.personal.candidates import Panel, panel
from common.personal.conformal import learn_references
from common.personal.gate import Gate
from common.personal.learning import Judged, learn
from common.personal.portfolio import Kind, Rule
from common.randomness import generator
from common.sources import RunSettings
from simulation.compare.arms import Made, Query, Setting, arms_of, candidate_arms
from simulation.compare.cast import OWN, Cast, train_cast
from simulation.compare.division import Division
from simulation.draws import DrawnTask, draw_some
from simulation.source import Plan

VALIDATION_TASKS, VALIDATION_DRAWS, VALIDATION_PATIENTS = 32, 6, 150
MIN_VALIDATION = 5
"""A validation task has so many patients of each class in its test half."""
NEW_TASKS = 3
"""From so many validation tasks without a start of their own on, they alone teach the gate."""


@dataclass(frozen=True)
class Judging:
    """What is measured: k labelled patients, draws of them, at most so many test tasks."""

    ks: tuple[int, ...]
    draws: int
    tasks: int
    min_per_class: int


@dataclass
class Learned:
    """What validation taught: each arm's setting per k, and the gate's rule by kind."""

    choices: dict[str, dict[int, Setting]] = field(default_factory=dict)
    rules: dict[Kind, Rule] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)


class Trainer:
    """Trains a cast on tasks once; the final cast of many sites is that of their only fold."""

    def __init__(self, plan: Plan, settings: RunSettings, several: bool, seed: int) -> None:
        self._plan, self._settings, self._several, self._seed = plan, settings, several, seed
        self._last: tuple[Mapping[str, Any], Cast] | None = None

    def cast(self, tasks: Mapping[str, Any], diagnoses: set[str]) -> Cast:
        """Return what is trained on tasks, by site, with starts of their own for diagnoses."""
        wanted = sorted(diagnoses) if self._several else []
        if self._last and self._last[0] is tasks:
            cast = self._last[1]
            missing = [d for d in wanted if not cast.knows(d)]
            if missing:
                more = train_cast(self._plan, self._settings, tasks, missing, self._seed)
                cast.starts |= more.starts
                cast.studies |= more.studies
            return cast
        cast = train_cast(self._plan, self._settings, tasks, wanted, self._seed)
        self._last = tasks, cast
        return cast


def validate(division: Division, trained: Trainer, judging: Judging, seed: int) -> Learned:
    """Return what the folds' held tasks teach."""
    learned, losses = Learned(), dict[str, dict[int, list[dict[Setting, float]]]]()
    judged: dict[Kind, dict[int, list[Judged]]] = {"known": {}, "new": {}}
    share = -(-VALIDATION_TASKS // max(len(division.folds), 1))
    for fold in division.folds:
        tasks, _ = draw_some(
            fold.held, share, VALIDATION_DRAWS, min_per_class=MIN_VALIDATION, seed=seed
        )
        cast = trained.cast(fold.train, {task.held.task.name for task in tasks})
        for task in tasks:
            learned.tasks.append(task.held.name)
            kind: Kind = "known" if cast.knows(task.held.task.name) else "new"
            for k in (k for k in judging.ks if k <= task.pool):
                made = _validate_at(cast, task, k, losses, seed)
                judged[kind].setdefault(k, []).append(made)
    learned.choices = {arm: _best(by_k, judging.ks) for arm, by_k in losses.items()}
    learned.rules = _rules(judged, seed)
    return learned


def _validate_at(
    cast: Cast,
    task: DrawnTask,
    k: int,
    losses: dict[str, dict[int, list[dict[Setting, float]]]],
    seed: int,
) -> Judged:
    """Score every arm's settings on the task at k, and return what the gate learns from."""
    rows = generator(seed, "validation patients", task.held.name).permutation(len(task.test))
    rows = _both_classes(np.sort(rows[:VALIDATION_PATIENTS]), task.test_y)
    y, others = task.test_y[rows], task.test_x[rows]
    query = Query(task.held.task.name, *task.support(k), others)
    seen = panel(cast.gate_starts(query.task), query.x, query.y, others)
    every: dict[str, Made] = {n: arm(query, ()) for n, arm in arms_of(cast, own=_own(cast)).items()}
    for name, made in {**every, **candidate_arms(seen)}.items():
        found = {s: float(log_losses(y, p).mean()) for s, p in made.items()}
        losses.setdefault(name, {}).setdefault(k, []).append(found)
    return Judged(seen, query.y, torch.from_numpy(y))


def _own(cast: Cast) -> bool:
    return any(task for _, task in cast.starts)


def _both_classes(rows: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows, with one of each class at least."""
    firsts = [np.flatnonzero(y == c)[0] for c in (0, 1)]
    return np.union1d(rows, firsts)


def _best(
    by_k: Mapping[int, Sequence[Mapping[Setting, float]]], ks: Sequence[int]
) -> dict[int, Setting]:
    """Return the setting of least mean log-loss per k; where no task has k, the next smaller's."""
    chosen: dict[int, Setting] = {}
    for k in sorted(ks):
        found = by_k.get(k, [])
        settings = {s for losses in found for s in losses}
        mean = {s: float(np.mean([ls[s] for ls in found if s in ls])) for s in sorted(settings)}
        finite = {s: loss for s, loss in mean.items() if np.isfinite(loss)}
        if finite:
            chosen[k] = min(finite, key=lambda s: finite[s])
        elif chosen:
            chosen[k] = chosen[max(chosen)]
    return chosen


def _rules(judged: Mapping[Kind, Mapping[int, Sequence[Judged]]], seed: int) -> dict[Kind, Rule]:
    """Return the gates by kind of diagnosis.

    Known ones: from tasks that have starts of their own. New ones: from tasks that have none, or,
    if those are few, from all as if they had none.
    """
    rules: dict[Kind, Rule] = {}
    if judged["known"]:
        rules["known"] = _rule(judged["known"], seed)
    new = judged["new"]
    if max((len(tasks) for tasks in new.values()), default=0) < NEW_TASKS or not new:
        both = {k: [*judged["known"].get(k, []), *new.get(k, [])] for k in {*judged["known"], *new}}
        new = {k: [t._replace(panel=shared(t.panel)) for t in tasks] for k, tasks in both.items()}
    if new:
        rules["new"] = _rule(new, seed)
    return rules


def _rule(judged: Mapping[int, Sequence[Judged]], seed: int) -> Rule:
    gate: Gate = learn(judged, seed=seed)
    return Rule(gate, learn_references(gate, judged))


def shared(seen: Panel) -> Panel:
    """Return the panel without starts that know the diagnosis."""
    keep = [i for i, c in enumerate(seen.candidates) if not c.start.endswith(OWN)]
    candidates = tuple(seen.candidates[i] for i in keep)
    return seen._replace(
        candidates=candidates, logits=seen.logits[keep], left_out=seen.left_out[keep]
    )
