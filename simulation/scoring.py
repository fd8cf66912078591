"""What was learned, scored beside the local arms on held-out tasks that are drawn here.

Settings of arms are chosen on validation tasks, and scores come from test tasks alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from common.errors import SettingsError
from common.learner import Learner
from common.parameters import Params
from common.personal.tunable import NETWORK_SCALES, NETWORK_STEPS, Tunable
from common.study_sections import EvaluationSettings
from simulation import summary
from simulation.draws import DrawnTask, draw_some
from simulation.evaluation import TRUTH, Arm, curves, score, tunable_arms, tune
from simulation.progress import Reporter
from simulation.source import Plan

BASELINE = "fedavg"
CURVE_K = 10
"""The learning curve shows adaptation to so many labelled patients."""
VALIDATION_TASKS, VALIDATION_DRAWS = 12, 6


class Learned(Protocol):
    """What is judged: an initialization, under the name that its arm gets."""

    @property
    def name(self) -> str:
        """The arm's name."""
        ...

    @property
    def learner(self) -> Learner:
        """What adapts it."""
        ...

    @property
    def meta(self) -> Params:
        """What was learned."""
        ...


@dataclass(frozen=True)
class HeldOutTasks:
    """The drawn validation and test tasks, and why the others cannot be scored."""

    validation: list[DrawnTask]
    test: list[DrawnTask]
    not_scored: dict[str, str]


def draw_tasks(plan: Plan, settings: EvaluationSettings, seed: int) -> HeldOutTasks:
    """Draw supports and test halves of the held-out tasks.

    Raises:
        SettingsError: not one test task has enough patients.
    """
    enough = {"min_per_class": settings.min_per_class, "seed": seed}
    validation, _ = draw_some(plan.split.validation, VALIDATION_TASKS, VALIDATION_DRAWS, **enough)
    test, not_scored = draw_some(plan.split.test, settings.max_tasks, settings.draws, **enough)
    if not test:
        why = next(iter(not_scored.values()))
        raise SettingsError(
            f"no held-out task can be scored: {why}",
            where=f"scenario {plan.scenario}",
            remedy="hold out larger sites, groups or diagnoses, or lower evaluation.min_per_class",
        )
    return HeldOutTasks(validation, test, not_scored)


def scored(
    plan: Plan,
    learned: Sequence[Learned],
    tasks: HeldOutTasks,
    evaluation: EvaluationSettings,
    seed: int,
    reporter: Reporter,
    *,
    number_of_workers: int = 1,
) -> dict[str, Any]:
    """Return what was learned, the first paired with all others, scored beside the local arms."""
    test, workers = tasks.test, number_of_workers
    arms = make_arms(learned, truth=plan.dataset.probabilities is not None)
    total = len(tunable_arms(arms)) * len(tasks.validation)
    with reporter.stage("choosing settings on validation tasks", total) as tick:
        arms = tune(arms, tasks.validation, evaluation.k, tick, number_of_workers=workers)
    with reporter.stage("scoring held-out tasks", 2 * len(arms) * len(test)) as tick:
        scores = score(arms, test, evaluation.k, tick, number_of_workers=workers)
        per_class = score(
            arms, test, evaluation.k_per_class, tick, per_class=True, number_of_workers=workers
        )
    head = {"dataset": plan.dataset.name, "scenario": plan.scenario}
    sites = {task.held.name: task.held.site for task in test}
    return {
        **_described_tasks(tasks),
        "choices": list(_choices(arms)),
        "rows": summary.rows(scores, sites, **head, seed=seed),
        "rows_per_class": summary.rows(per_class, sites, **head, seed=seed),
        "differences": [
            row
            for metric in ("auroc", "brier")
            for row in summary.differences(scores, sites, learned[0].name, metric=metric, seed=seed)
        ],
    }


def make_arms(learned: Sequence[Learned], *, truth: bool) -> list[Arm]:
    """Return all arms: the local ones, FedAvg's two, the algorithms' own, the truth if known.

    The local network is the last one's, from its first parameters.
    """
    baseline = learned[-1]
    network = Tunable(baseline.learner, baseline.learner.initial, NETWORK_SCALES, NETWORK_STEPS)
    arms = [
        Arm("local-logistic", trained=False),
        Arm("local-network", network, trained=False),
    ]
    for run in reversed(learned):
        start = Tunable(run.learner, run.meta)
        if run.name == BASELINE:
            arms += [Arm(BASELINE, start, adapts=False), Arm(f"{BASELINE}-finetune", start)]
        else:
            arms.append(Arm(run.name, start))
    return arms + [Arm(TRUTH)] * truth


def learning_curve(
    kept: Sequence[tuple[Learned, int, Params]],
    tasks: Sequence[DrawnTask],
    number_of_workers: int,
) -> Iterator[dict[str, Any]]:
    """Yield mean log-loss and AUROC on validation tasks of what was kept after some rounds.

    Settings here are the study's own, untuned: K inner steps at `inner_lr` on CURVE_K patients.
    """
    usable = [task for task in tasks if task.pool >= CURVE_K]
    if not usable or not kept:
        return
    starts = [Tunable(run.learner, meta) for run, _, meta in kept]
    every = curves(
        starts, usable, [CURVE_K], lambda doing: None, number_of_workers=number_of_workers
    )
    for (run, index, _), auroc, loss in zip(kept, *every.mean((2, 3)).tolist(), strict=True):
        at = {"round": index, "arm": run.name}
        yield at | {"metric": "auroc", "mean": auroc}
        yield at | {"metric": "log-loss", "mean": loss}


def _choices(arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    for arm in arms:
        for k, (scale, steps) in arm.choice.items():
            yield {"arm": arm.name, "k": k, "rate_scale": scale, "steps": steps}


def _described_tasks(tasks: HeldOutTasks) -> dict[str, Any]:
    return {
        "validation": [described(task) for task in tasks.validation],
        "held_out": [described(task) for task in tasks.test],
        "not_scored": [{"held_out": n, "why": why} for n, why in tasks.not_scored.items()],
    }


def described(task: DrawnTask) -> dict[str, Any]:
    """Return a held-out task as results.json lists it."""
    y = task.held.task.y
    return {
        "held_out": task.held.name,
        "site": task.held.site,
        "group": task.held.group,
        "task": task.held.task.name,
        "patients": len(y),
        "positive": int(y.sum()),
        "test_patients": len(task.test),
        "test_positive": int(task.test_y.sum()),
        "can_be_labelled": task.pool,
    }
