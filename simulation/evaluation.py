"""The protocol: every arm on every held-out task, at every k, on the same draws.

Settings of an arm are chosen per k by log-loss on the validation tasks, from grids of equal size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from common.errors import NonFiniteError
from simulation.arms import Floats, Setting, Tunable
from simulation.draws import DrawnTask
from simulation.logistic import local_logistic
from simulation.metrics import Estimate, estimates
from simulation.progress import Tick

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

    def predict(self, task: DrawnTask, x: Tensor, y: Tensor, *, setting_of: int) -> Floats:
        """Return P(y = 1) [D, n] of the task's test patients from supports x [D, k, ...], y [D, k].

        Without labels, what was never trained knows nothing: one half for everybody.
        """
        draws, k = y.shape
        if self.name == TRUTH:
            return np.repeat(np.asarray(task.held.truth)[task.test][None], draws, axis=0)
        if k == 0 and not self.trained:
            return np.full((draws, len(task.test)), 0.5)
        if self.tunable is None:
            return local_logistic(x, y, task.test_x)
        if k == 0 or not self.adapts:
            return self.tunable.zero_shot(draws, task.test_x)
        return self.tunable.predict(x, y, task.test_x, self.choice[setting_of])


TRUTH = "truth"
"""The arm that knows the generator's true probabilities: what nobody can beat."""


def tune(arm: Arm, tasks: Sequence[DrawnTask], ks: Sequence[int], tick: Tick) -> Arm:
    """Return the arm with the setting of least mean log-loss on the validation tasks, per k.

    Where no validation task is large enough for a k, the choice of the next smaller k holds, and
    before that the study's own inner rate and steps.
    """
    if arm.tunable is None or not arm.adapts:
        return arm
    settings = arm.tunable.learner.settings
    best: Setting = (1.0, max(settings.inner_steps, 1))
    choice: dict[int, Setting] = {}
    for k in sorted(set(ks) - {0}):
        tick(f"{arm.name}: choosing settings for k = {k}")
        losses = [_losses(arm.tunable, task, k) for task in tasks if task.pool >= k]
        if losses:
            mean = {s: float(np.mean([loss[s] for loss in losses])) for s in losses[0]}
            best = min(mean, key=lambda s: (not np.isfinite(mean[s]), mean[s]))
        choice[k] = best
    return replace(arm, choice=choice)


def _losses(tunable: Tunable, task: DrawnTask, k: int) -> dict[Setting, float]:
    x, y = task.support(k)
    path = tunable.path(x, y, task.test_x)
    return {s: estimates(task.test_y, p)["log-loss"].mean for s, p in path.items()}


def score(arms: Sequence[Arm], tasks: Sequence[DrawnTask], ks: Sequence[int], tick: Tick) -> Scores:
    """Return the scores at natural prevalence; k beyond a task's patients is left out."""
    scores: Scores = {}
    for task in tasks:
        for arm in _fitting(arms, task):
            tick(f"{task.held.name}: {arm.name}")
            for k in ks:
                if k <= task.pool:
                    p = arm.predict(task, *task.support(k), setting_of=k)
                    scores[task.held.name, k, arm.name] = _checked(task, arm, p)
    return scores


def score_per_class(arms: Sequence[Arm], tasks: Sequence[DrawnTask], ks: Sequence[int]) -> Scores:
    """Return the scores with k patients of each class: not what a ward meets, but customary."""
    scores: Scores = {}
    for task in tasks:
        for arm in _fitting(arms, task):
            for k in ks:
                if k <= min(orders.shape[1] for orders in task.per_class):
                    nearest = min(arm.choice, key=lambda c: abs(c - 2 * k), default=0)
                    p = arm.predict(task, *task.balanced_support(k), setting_of=nearest)
                    scores[task.held.name, k, arm.name] = _checked(task, arm, p)
    return scores


def _fitting(arms: Sequence[Arm], task: DrawnTask) -> list[Arm]:
    return [arm for arm in arms if arm.name != TRUTH or task.held.truth is not None]


def _checked(task: DrawnTask, arm: Arm, p: Floats) -> dict[str, Estimate]:
    if not np.isfinite(p).all():
        raise NonFiniteError(
            f"{arm.name} predicts NaN",
            where=task.held.name,
            remedy="lower inner_lr and train again",
        )
    return estimates(task.test_y, p)
