"""The protocol: every arm on every held-out task, at every k, on the same draws.

Settings of an arm are chosen per k by log-loss on the validation tasks, from grids of equal size.
An arm on a task is one job; jobs are spread over worker processes and their results put together in
the order of the jobs, so that the numbers are the same for any number of workers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from common.errors import NonFiniteError
from common.metrics import Estimate, areas, estimates, log_losses
from common.personal.logistic import local_logistic
from common.personal.tunable import Floats, Setting, Tunable
from simulation.draws import DrawnTask
from simulation.progress import Tick
from simulation.workers import workers

Result = TypeVar("Result")
Scores = dict[tuple[str, int, str], dict[str, Estimate]]
"""(held-out task, k, arm) to metric to estimate."""


@dataclass(frozen=True)
class Arm:
    """One way to predictions. choice: per k, the setting that validation chose."""

    name: str
    tunable: Tunable | None = None
    trained: bool = True
    adapts: bool = True
    choice: Mapping[int, Setting] = field(default_factory=dict)

    def fits(self, task: DrawnTask) -> bool:
        """Whether the task has what the arm needs."""
        return self.name != TRUTH or task.held.truth is not None

    def predict(self, task: DrawnTask, x: Tensor, y: Tensor, *, setting_of: int) -> Floats:
        """Return P(y = 1) [D, n] of the task's test patients from supports x [D, k, ...], y [D, k].

        Without labels, what was never trained knows nothing: one half for everybody. The logistic
        regression takes rows of any shape as flat ones.
        """
        draws, k = y.shape
        if self.name == TRUTH:
            return np.repeat(np.asarray(task.held.truth)[task.test][None], draws, axis=0)
        if k == 0 and not self.trained:
            return np.full((draws, len(task.test)), 0.5)
        if self.tunable is None:
            return local_logistic(x.flatten(2), y, task.test_x.flatten(1))
        if k == 0 or not self.adapts:
            return self.tunable.zero_shot(draws, task.test_x)
        return self.tunable.predict(x, y, task.test_x, self.choice[setting_of])


TRUTH = "truth"
"""The arm that knows the generator's true probabilities: what nobody can beat."""


def on_tasks(
    function: Callable[[Arm, DrawnTask], Result],
    arms: Sequence[Arm],
    tasks: Sequence[DrawnTask],
    tick: Tick,
    number_of_workers: int,
) -> Iterator[tuple[Arm, DrawnTask, Result]]:
    """Yield the function's result for every task and arm, task by task; one tick for each."""
    for arm in arms:
        if arm.tunable and number_of_workers > 1:
            arm.tunable.prepare()  # once, and not in each of the workers
    pairs = list(product(tasks, arms))

    def job(number: int) -> Result:
        task, arm = pairs[number]
        return function(arm, task)

    with one_thread(), workers(job, number_of_workers) as run:
        for (task, arm), result in zip(pairs, run(range(len(pairs))), strict=True):
            tick(f"{task.held.name}: {arm.name}")
            yield arm, task, result


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute here as workers do: faster at this size, and the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tunable_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms whose settings validation tasks choose."""
    return [arm for arm in arms if arm.tunable and arm.adapts]


def tune(
    arms: Sequence[Arm],
    tasks: Sequence[DrawnTask],
    ks: Sequence[int],
    tick: Tick,
    *,
    number_of_workers: int = 1,
) -> list[Arm]:
    """Return the arms with the settings of least mean log-loss on the validation tasks, per k."""
    adapting, ks = tunable_arms(arms), sorted(set(ks) - {0})
    found: dict[str, list[_Losses]] = {arm.name: [] for arm in adapting}
    results = on_tasks(partial(_losses, ks=ks), adapting, tasks, tick, number_of_workers)
    for arm, _, losses in results:
        found[arm.name].append(losses)
    return [_choose(arm, found[arm.name], ks) if arm.name in found else arm for arm in arms]


_Losses = Mapping[int, Mapping[Setting, float]]
"""k to setting to the mean log-loss on one task."""


def _losses(arm: Arm, task: DrawnTask, ks: Sequence[int]) -> _Losses:
    assert arm.tunable  # noqa: S101 (only such arms are tuned)
    found = {}
    for k in (k for k in ks if k <= task.pool):
        path = arm.tunable.path(*task.support(k), task.test_x)
        mean = log_losses(task.test_y, np.stack([*path.values()])).mean((1, 2))
        found[k] = dict(zip(path, mean.tolist(), strict=True))
    return found


def _choose(arm: Arm, found: Sequence[_Losses], ks: Sequence[int]) -> Arm:
    """Return the arm with its best setting per k.

    Where no validation task is large enough for a k, the choice of the next smaller k holds, and
    before that the study's own inner rate and steps.
    """
    assert arm.tunable  # noqa: S101 (only such arms are tuned)
    best, choice = arm.tunable.own_setting, dict[int, Setting]()
    for k in ks:
        losses = [task[k] for task in found if k in task]
        if losses:
            mean = {s: float(np.mean([loss[s] for loss in losses])) for s in losses[0]}
            best = min(mean, key=lambda s: (not np.isfinite(mean[s]), mean[s]))
        choice[k] = best
    return replace(arm, choice=choice)


_ByK = dict[int, dict[str, Estimate]]


def score(
    arms: Sequence[Arm],
    tasks: Sequence[DrawnTask],
    ks: Sequence[int],
    tick: Tick,
    *,
    per_class: bool = False,
    number_of_workers: int = 1,
) -> Scores:
    """Return the scores at natural prevalence; k beyond a task's patients is left out.

    per_class: with k patients of each class: not what a ward meets, but customary.
    """
    by_k = partial(_balanced if per_class else _natural, ks=ks)
    return {
        (task.held.name, k, arm.name): found
        for arm, task, at in on_tasks(by_k, arms, tasks, tick, number_of_workers)
        for k, found in at.items()
    }


def _natural(arm: Arm, task: DrawnTask, ks: Sequence[int]) -> _ByK:
    if not arm.fits(task):
        return {}
    fitting = [k for k in ks if k <= task.pool]
    return {k: _checked(task, arm, *task.support(k), setting_of=k) for k in fitting}


def _balanced(arm: Arm, task: DrawnTask, ks: Sequence[int]) -> _ByK:
    if not arm.fits(task):
        return {}
    found = {}
    for k in (k for k in ks if k <= min(orders.shape[1] for orders in task.per_class)):
        nearest = min(arm.choice, key=lambda c: abs(c - 2 * k), default=0)
        found[k] = _checked(task, arm, *task.balanced_support(k), setting_of=nearest)
    return found


def _checked(
    task: DrawnTask, arm: Arm, x: Tensor, y: Tensor, *, setting_of: int
) -> dict[str, Estimate]:
    p = arm.predict(task, x, y, setting_of=setting_of)
    if not np.isfinite(p).all():
        raise NonFiniteError(
            f"{arm.name} predicts NaN",
            where=task.held.name,
            remedy="lower inner_lr and train again",
        )
    return estimates(task.test_y, p)


def adaptation_curves(
    start: Tunable, tasks: Sequence[DrawnTask], ks: Sequence[int], *, number_of_workers: int = 1
) -> Floats:
    """Return the mean AUROC over draws [tasks, ks] at the study's own rate and steps, untuned.

    NaN where a task has fewer than k patients to label.
    """
    auroc, _ = curves([start], tasks, ks, lambda doing: None, number_of_workers=number_of_workers)
    only: Floats = auroc[0]
    return only


def curves(
    starts: Sequence[Tunable],
    tasks: Sequence[DrawnTask],
    ks: Sequence[int],
    tick: Tick,
    *,
    number_of_workers: int = 1,
) -> Floats:
    """Return mean AUROC and mean log-loss over draws [2, starts, tasks, ks], untuned."""
    arms = [
        Arm(s.learner.algorithm.name, s, choice=dict.fromkeys(ks, s.own_setting)) for s in starts
    ]
    results = on_tasks(partial(_curve, ks=ks), arms, tasks, tick, number_of_workers)
    found = np.array([curve for _, _, curve in results])
    return found.reshape(len(tasks), len(starts), len(ks), 2).transpose(3, 1, 0, 2)


def _curve(arm: Arm, task: DrawnTask, ks: Sequence[int]) -> Floats:
    """Return AUROC and log-loss [ks, 2]."""
    found = np.full((len(ks), 2), np.nan)
    fits = np.array([k <= task.pool for k in ks])
    p = [arm.predict(task, *task.support(k), setting_of=k) for k in np.array(ks)[fits].tolist()]
    if p:
        every = np.stack(p)  # [k, D, n]
        ranked = areas(task.test_y, every.reshape(-1, every.shape[2]))
        found[fits, 0] = ranked.reshape(every.shape[:2]).mean(1)
        found[fits, 1] = log_losses(task.test_y, every).mean((1, 2))
    return found
