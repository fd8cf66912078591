"""A unit of a comparison: one seed, one choice of what is held out; from data to scores.

division  who trains, validates, tests
cast      what is trained, for each fold and for the test
validate  every arm's settings by log-loss per k; the gate; the reference of prediction sets
test      every arm at every k on every held-out task
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from common.personal.portfolio import Portfolio
from common.sources import RunSettings
from simulation.compare.cast import Cast
from simulation.compare.control import with_shuffled_labels
from simulation.compare.division import divide
from simulation.compare.scoring import Scores, judge_task
from simulation.compare.validation import Judging, Learned, Trainer, validate
from simulation.draws import DrawnTask, draw_some
from simulation.scoring import described
from simulation.source import Plan, make_plan

SHUFFLED = "shuffled-labels"
"""The setting that asks for the control."""


def run_unit(
    settings: RunSettings, held_out: Sequence[str], judging: Judging
) -> tuple[dict[str, Any], Portfolio]:
    """Return the unit's scores, as JSON takes them, and what a hospital would be given."""
    torch.set_num_threads(1)
    seed, plan = int(settings["seed"]), _plan(settings, held_out)
    division = divide(plan, held_out, seed)
    several = plan.scenario != "cross-domain" and len(plan.dataset.study.tasks) > 1
    test, not_scored = draw_some(
        division.test,
        judging.tasks,
        judging.draws,
        min_per_class=judging.min_per_class,
        seed=seed,
    )
    trained = Trainer(plan, settings, several, seed)
    learned = validate(division, trained, judging, seed)
    cast = trained.cast(division.train, {task.held.task.name for task in test})
    scores = Scores()
    for task in test:
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


def _plan(settings: RunSettings, held_out: Sequence[str]) -> Plan:
    """Return the data with what is held out, and with labels shuffled if that is asked for."""
    plan = make_plan({**settings, "held-out": ";".join(held_out)})
    if not settings.get(SHUFFLED):
        return plan
    return with_shuffled_labels(plan, held_out, int(settings["seed"]))


def _described(task: DrawnTask, cast: Cast) -> dict[str, Any]:
    known = cast.knows(task.held.task.name)
    return described(task) | {"kind": "known" if known else "new"}


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
