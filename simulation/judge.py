"""Judges what was trained: tunes the arms on validation tasks, scores them on test tasks.

The result is the object that `wardround simulate --json` prints; docs/results.md describes it.
"""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.errors import SettingsError
from common.learner import Learner
from common.parameters import Params
from common.personal.tunable import NETWORK_SCALES, NETWORK_STEPS, Tunable
from common.privacy.profiles import privacy_statement
from common.sources import RunSettings
from common.study import Study
from common.study_sections import EvaluationSettings
from server.state import load_initialization, read_records, snapshot_path
from simulation import summary
from simulation.draws import DrawnTask, draw_some
from simulation.evaluation import TRUTH, Arm, curves, score, tunable_arms, tune
from simulation.progress import Reporter
from simulation.scenarios import describe
from simulation.source import Plan

CURVE_K = 10
"""The learning curve shows adaptation to so many labelled patients."""
VALIDATION_TASKS, VALIDATION_DRAWS = 12, 6


@dataclass(frozen=True)
class Trained:
    """A trained initialization, its study, and the folder it lies in."""

    study: Study
    learner: Learner
    meta: Params
    folder: Path

    @property
    def name(self) -> str:
        """The algorithm's name, which is its arm's name."""
        return self.study.algorithm.name


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


def judge(
    plan: Plan,
    trained: Sequence[Trained],
    tasks: HeldOutTasks,
    settings: RunSettings,
    reporter: Reporter,
    *,
    number_of_workers: int = 1,
) -> dict[str, Any]:
    """Return the results of the trained initializations beside the local arms.

    They are the same for any number of worker processes.
    """
    main, seed, test = trained[0], int(settings["seed"]), tasks.test
    ks, workers = main.study.evaluation, number_of_workers
    arms = make_arms(trained, truth=plan.dataset.probabilities is not None)
    total = len(tunable_arms(arms)) * len(tasks.validation)
    with reporter.stage("choosing settings on validation tasks", total) as tick:
        arms = tune(arms, tasks.validation, ks.k, tick, number_of_workers=workers)
    with reporter.stage("scoring held-out tasks", 2 * len(arms) * len(test)) as tick:
        scores = score(arms, test, ks.k, tick, number_of_workers=workers)
        per_class = score(
            arms, test, ks.k_per_class, tick, per_class=True, number_of_workers=workers
        )
    head = {"dataset": plan.dataset.name, "scenario": plan.scenario}
    sites = {task.held.name: task.held.site for task in test}
    return {
        "schema": 1,
        "study": main.study.model_dump(mode="json", by_alias=True) | {"id": main.study.id},
        "settings": dict(settings),
        "versions": versions(),
        **head,
        "note": plan.dataset.note,
        "privacy": privacy_statement(main.study, private=False),
        "training": describe(plan.split),
        "idle_sites": plan.split.idle,
        "rounds": [asdict(record) for record in _records(main)],
        "learning_curve": list(_learning_curve(trained, tasks.validation, number_of_workers)),
        **_described_tasks(tasks),
        "choices": list(_choices(arms)),
        "rows": summary.rows(scores, sites, **head, seed=seed),
        "rows_per_class": summary.rows(per_class, sites, **head, seed=seed),
        "differences": [
            row
            for metric in ("auroc", "brier")
            for row in summary.differences(scores, sites, main.name, metric=metric, seed=seed)
        ],
    }


def make_arms(trained: Sequence[Trained], *, truth: bool) -> list[Arm]:
    """Return all arms: the local ones, FedAvg's two, the algorithm's own, the truth if known."""
    main, baseline = trained[0], trained[-1]
    network = Tunable(baseline.learner, baseline.learner.initial, NETWORK_SCALES, NETWORK_STEPS)
    fedavg = Tunable(baseline.learner, baseline.meta)
    arms = [
        Arm("local-logistic", trained=False),
        Arm("local-network", network, trained=False),
        Arm("fedavg", fedavg, adapts=False),
        Arm("fedavg-finetune", fedavg),
    ]
    if main is not baseline:
        arms.append(Arm(main.name, Tunable(main.learner, main.meta)))
    return arms + [Arm(TRUTH)] * truth


def _learning_curve(
    trained: Sequence[Trained], tasks: Sequence[DrawnTask], number_of_workers: int
) -> Iterator[dict[str, Any]]:
    """Yield mean log-loss and AUROC on validation tasks after every tenth of the rounds.

    Settings here are the study's own, untuned: K inner steps at `inner_lr` on CURVE_K patients.
    """
    usable = [task for task in tasks if task.pool >= CURVE_K]
    if not usable:
        return
    kept = [(run, index) for run in trained for index in _kept(run)]
    starts = [
        Tunable(run.learner, load_initialization(snapshot_path(run.folder, index), run.learner))
        for run, index in kept
    ]
    every = curves(
        starts, usable, [CURVE_K], lambda doing: None, number_of_workers=number_of_workers
    )
    for (run, index), auroc, loss in zip(kept, *every.mean((2, 3)).tolist(), strict=True):
        at = {"round": index, "arm": run.name}
        yield at | {"metric": "auroc", "mean": auroc}
        yield at | {"metric": "log-loss", "mean": loss}


def _kept(run: Trained) -> list[int]:
    """Return the rounds whose initialization was kept."""
    rounds = range(1, run.study.server.rounds + 1)
    return [index for index in rounds if snapshot_path(run.folder, index).exists()]


def _records(run: Trained) -> Sequence[Any]:
    return read_records(run.folder, run.study, run.learner)


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


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the software, also of `more` packages."""
    names = ("wardround", "flwr", "torch", "numpy", "scipy", *more)
    found = {name: version(name) for name in names}
    return found | {"python": platform.python_version(), "machine": platform.machine()}
