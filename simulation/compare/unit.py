"""A unit of a comparison: one seed, one choice of what is held out; from data to scores.

division  who trains, validates, tests
cast      what is trained, for each fold and for the test
validate  every arm's settings by log-loss per k; the gate; the reference of prediction sets
test      every arm at every k on every held-out task
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.metrics import estimates, log_losses
from common.personal.candidates import Panel, panel
from common.personal.conformal import Reference, learn_references, prediction_sets, thresholds
from common.personal.gate import Gate, Mixed, mix
from common.personal.learning import Judged, learn
from common.personal.portfolio import Kind, Portfolio, Rule
from common.randomness import generator
from common.sources import RunSettings
from simulation.compare.arms import Arm, Made, Query, Setting, arms_of, candidate_arms
from simulation.compare.cast import OWN, Cast, train_cast
from simulation.compare.control import with_shuffled_labels
from simulation.compare.division import Division, divide
from simulation.draws import DrawnTask, draw
from simulation.scenarios import HeldOut
from simulation.source import Plan, make_plan

VALIDATION_TASKS, VALIDATION_DRAWS, VALIDATION_PATIENTS = 32, 6, 150
MIN_VALIDATION = 5
"""A validation task has so many patients of each class in its test half."""
NEW_TASKS = 3
"""From so many validation tasks without a start of their own on, they alone teach the gate."""
COVERAGE = 0.9
GATED = "gated"
SHUFFLED = "shuffled-labels"
"""The setting that asks for the control."""
Tell = Callable[[str], None]


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


def run_unit(
    settings: RunSettings, held_out: Sequence[str], judging: Judging, tell: Tell
) -> tuple[dict[str, Any], Portfolio]:
    """Return the unit's scores, as JSON takes them, and what a hospital would be given."""
    torch.set_num_threads(1)
    seed = int(settings["seed"])
    plan = make_plan({**settings, "held-out": ";".join(held_out)})
    if settings.get(SHUFFLED):
        plan = with_shuffled_labels(plan, held_out, seed)
    division = divide(plan, held_out, seed)
    several = plan.scenario != "cross-domain" and len(plan.dataset.study.tasks) > 1
    test, not_scored = drawn(
        division.test, judging.tasks, judging.draws, judging.min_per_class, seed
    )
    trained = _Trained(plan, settings, several, seed)
    learned = validate(division, trained, judging, seed, tell)
    tell("training on all")
    cast = trained.cast(division.train, {task.held.task.name for task in test})
    scores = _Scores()
    for task in test:
        tell(task.held.name)
        judge_task(cast, task, learned, judging, scores, own=several)
    body = {
        "seed": seed,
        "held_out": list(held_out),
        "tasks": [_described(task, cast) for task in test],
        "not_scored": not_scored,
        "validation": learned.tasks,
        "choices": _choices(learned),
        "weights": list(_weights(learned)),
        "scores": scores.rows,
        "sets": scores.sets,
    }
    return body, _portfolio(cast, learned, plan)


def drawn(
    held: Sequence[HeldOut], most: int, draws: int, min_per_class: int, seed: int
) -> tuple[list[DrawnTask], dict[str, str]]:
    """Return at most `most` drawn tasks, chosen at random, and why the others are not scored."""
    found: list[DrawnTask] = []
    reasons: dict[str, str] = {}
    for i in generator(seed, "held-out tasks").permutation(len(held)):
        task: DrawnTask | str = f"not drawn: {most} tasks are scored"
        if len(found) < most:
            task = draw(held[i], draws=draws, min_per_class=min_per_class, seed=seed)
        if isinstance(task, DrawnTask):
            found.append(task)
        else:
            reasons[held[i].name] = task
    return sorted(found, key=lambda task: task.held.name), reasons


class _Trained:
    """Trains a cast on tasks once; the final cast of many sites is that of their only fold."""

    def __init__(self, plan: Plan, settings: RunSettings, several: bool, seed: int) -> None:
        self._plan, self._settings, self._several, self._seed = plan, settings, several, seed
        self._last: tuple[Mapping[str, Any], Cast] | None = None

    def cast(self, tasks: Mapping[str, Any], diagnoses: set[str]) -> Cast:
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


def validate(
    division: Division, trained: _Trained, judging: Judging, seed: int, tell: Tell
) -> Learned:
    """Return what the folds' held tasks teach."""
    learned, losses = Learned(), dict[str, dict[int, list[dict[Setting, float]]]]()
    judged: dict[Kind, dict[int, list[Judged]]] = {"known": {}, "new": {}}
    share = -(-VALIDATION_TASKS // max(len(division.folds), 1))
    for number, fold in enumerate(division.folds, start=1):
        tell(f"validation fold {number} of {len(division.folds)}")
        tasks, _ = drawn(fold.held, share, VALIDATION_DRAWS, MIN_VALIDATION, seed)
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
        new = {k: [t._replace(panel=_shared(t.panel)) for t in tasks] for k, tasks in both.items()}
    if new:
        rules["new"] = _rule(new, seed)
    return rules


def _rule(judged: Mapping[int, Sequence[Judged]], seed: int) -> Rule:
    gate: Gate = learn(judged, seed=seed)
    return Rule(gate, learn_references(gate, judged))


def _shared(seen: Panel) -> Panel:
    """Return the panel without starts that know the diagnosis."""
    keep = [i for i, c in enumerate(seen.candidates) if not c.start.endswith(OWN)]
    candidates = tuple(seen.candidates[i] for i in keep)
    return seen._replace(
        candidates=candidates, logits=seen.logits[keep], left_out=seen.left_out[keep]
    )


class _Scores:
    """rows: [task, k, arm, metric, mean, error]. sets: one line a task and k."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.sets: list[dict[str, Any]] = []

    def add(self, task: DrawnTask, k: int, arm: str, p: np.ndarray[Any, Any]) -> None:
        for metric, (mean, error) in estimates(task.test_y, p).items():
            self.rows.append([task.held.name, k, arm, metric, round(mean, 6), round(error, 6)])


def judge_task(
    cast: Cast,
    task: DrawnTask,
    learned: Learned,
    judging: Judging,
    scores: _Scores,
    *,
    own: bool,
) -> None:
    """Score all arms, the gate's candidates and the gate on a test task, at every k."""
    name = task.held.task.name
    rule = learned.rules["known" if cast.knows(name) and "known" in learned.rules else "new"]
    for k in (k for k in judging.ks if k <= task.pool):
        query = Query(name, *task.support(k), task.test_x)
        for arm, predict in arms_of(cast, own=own).items():
            scores.add(task, k, arm, _chosen(predict, query, learned.choices[arm].get(k, ())))
        seen = panel(cast.gate_starts(name), query.x, query.y, query.others)
        if not (cast.knows(name) and "known" in learned.rules):
            seen = _shared(seen)
        for arm, made in candidate_arms(seen).items():
            setting = learned.choices.get(arm, {}).get(k)
            scores.add(task, k, arm, made.get(setting or (), next(iter(made.values()))))
        mixed = mix(rule.gate.for_patients(k), seen, query.y.float())
        p = mixed.logits.double().sigmoid().numpy()
        scores.add(task, k, GATED, p)
        scores.sets.append(_sets(task, k, p, mixed, query.y, seen, rule.references))
        if task.held.truth is not None:
            truth = np.repeat(np.asarray(task.held.truth)[task.test][None], len(p), axis=0)
            scores.add(task, k, "truth", truth)


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
    references: Mapping[int, Reference],
) -> dict[str, Any]:
    """Return the coverage of prediction sets at COVERAGE, their sizes, and the share abstained."""
    reference = references[min(references, key=lambda n: abs(np.log((n + 1) / (k + 1))))]
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


def _described(task: DrawnTask, cast: Cast) -> dict[str, Any]:
    y = task.held.task.y
    return {
        "held_out": task.held.name,
        "site": task.held.site,
        "group": task.held.group,
        "task": task.held.task.name,
        "kind": "known" if cast.knows(task.held.task.name) else "new",
        "patients": len(y),
        "positive": int(y.sum()),
        "test_patients": len(task.test),
        "test_positive": int(task.test_y.sum()),
        "can_be_labelled": task.pool,
    }


def _choices(learned: Learned) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "k": k, "setting": list(setting)}
        for arm, by_k in learned.choices.items()
        for k, setting in by_k.items()
        if setting
    ]


def _weights(learned: Learned) -> Any:
    """Yield what the gates learned, weights as shares."""
    for kind, rule in learned.rules.items():
        for k, at in rule.gate.at.items():
            logs = np.array(list(at.log_weights.values()))
            shares = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
            yield {
                "kind": kind,
                "k": k,
                "tasks": rule.gate.tasks,
                "weights": dict(zip(at.log_weights, shares.round(4).tolist(), strict=True)),
                "own_evidence": round(at.own_evidence, 4),
                "scale": round(at.scale, 4),
                "bias": round(at.bias, 4),
                "intercept_sd": at.intercept_sd,
            }


def _portfolio(cast: Cast, learned: Learned, plan: Plan) -> Portfolio:
    used = [key for key in cast.starts if key[0] in (cast.main, "fedavg")]
    return Portfolio(
        [cast.starts[key] for key in used],
        [cast.studies[key] for key in used],
        learned.rules,
        f"{plan.dataset.name}, {plan.scenario}: {len(cast.tasks)} sites",
    )
