"""Scoring a unit: every arm, the gate's candidates and the gate on a held-out task, at every k."""

from typing import Any

import numpy as np
from torch import Tensor

from common.metrics import estimates
from common.personal.candidates import Panel, panel
from common.personal.conformal import Reference, prediction_sets, thresholds
from common.personal.gate import Mixed, mix
from common.personal.published import unlearned_rule
from common.personal.starts import Start
from simulation.compare.arms import Arm, Query, Setting, arms_of, candidate_arms
from simulation.compare.cast import Cast
from simulation.compare.validation import Judging, Learned, shared
from simulation.draws import DrawnTask

COVERAGE = 0.9
GATED = "gated"
UNLEARNED = "candidate:unlearned gate"
"""What a hospital gets from a published federation: one start, and a gate that nobody taught."""


class Scores:
    """rows: [task, k, arm, metric, mean, error]. sets: one line a task and k."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.sets: list[dict[str, Any]] = []

    def add(self, task: DrawnTask, k: int, arm: str, p: np.ndarray[Any, Any]) -> None:
        """Add every metric of an arm's probabilities p [D, n]."""
        for metric, (mean, error) in estimates(task.test_y, p).items():
            self.rows.append([task.held.name, k, arm, metric, round(mean, 6), round(error, 6)])


def judge_task(
    cast: Cast,
    task: DrawnTask,
    learned: Learned,
    judging: Judging,
    scores: Scores,
    *,
    own: bool,
) -> None:
    """Score all arms, the gate's candidates and the gate on a test task, at every k."""
    name = task.held.task.name
    known = cast.knows(name) and "known" in learned.rules
    rule = learned.rules["known" if known else "new"]
    for k in (k for k in judging.ks if k <= task.pool):
        query = Query(name, *task.support(k), task.test_x)
        for arm, predict in arms_of(cast, own=own).items():
            scores.add(task, k, arm, _chosen(predict, query, learned.choices[arm].get(k, ())))
        seen = panel(cast.gate_starts(name), query.x, query.y, query.others)
        if not known:
            seen = shared(seen)
        for arm, made in candidate_arms(seen).items():
            setting = learned.choices.get(arm, {}).get(k)
            scores.add(task, k, arm, made.get(setting or (), next(iter(made.values()))))
        mixed = mix(rule.gate.for_patients(k), seen, query.y.float())
        p = mixed.logits.double().sigmoid().numpy()
        scores.add(task, k, GATED, p)
        scores.add(task, k, UNLEARNED, _unlearned(cast.start(cast.main, ""), seen, query.y))
        scores.sets.append(
            _sets(task, k, p, mixed, query.y, seen, rule.references[rule.gate.nearest(k)])
        )
        if task.held.truth is not None:
            truth = np.repeat(np.asarray(task.held.truth)[task.test][None], len(p), axis=0)
            scores.add(task, k, "truth", truth)


def _unlearned(start: Start, seen: Panel, support_y: Tensor) -> np.ndarray[Any, Any]:
    rule = unlearned_rule([start])
    mixed = mix(rule.gate.for_patients(support_y.shape[1]), seen, support_y.float())
    return mixed.logits.double().sigmoid().numpy()


def _chosen(arm: Arm, query: Query, setting: Setting) -> np.ndarray[Any, Any]:
    made = arm(query, (setting,) if setting else ())
    return made[setting] if setting in made else next(iter(made.values()))


def _sets(
    task: DrawnTask,
    k: int,
    p: np.ndarray[Any, Any],
    mixed: Mixed,
    support_y: Tensor,
    seen: Panel,
    reference: Reference,
) -> dict[str, Any]:
    """Return the coverage of prediction sets at COVERAGE, their sizes, and the share abstained."""
    own = mixed.left_out.double().sigmoid().numpy()
    y, sets = task.test_y, []
    for draws_p, draws_own, draws_y in zip(p, own, support_y.numpy(), strict=True):
        sets.append(prediction_sets(draws_p, thresholds(reference, draws_own, draws_y, COVERAGE)))
    inside = np.stack(sets)  # [D, n, 2]
    covered = np.take_along_axis(inside, y[None, :, None].repeat(len(inside), 0), 2)[..., 0]
    size = inside.sum(2)
    unlike = seen.unlikeness.numpy() > reference.familiar
    return {
        "held_out": task.held.name,
        "k": k,
        "covered": float(covered.mean()),
        "covered_with": float(covered[:, y == 1].mean()),
        "covered_without": float(covered[:, y == 0].mean()),
        "one_label": float((size == 1).mean()),
        "no_label": float((size == 0).mean()),
        "unlike": float(unlike.mean()),
    }
