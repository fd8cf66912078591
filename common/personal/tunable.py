"""Adaptation by plain inner steps, under a grid of settings that validation tasks choose from.

Supports x [D, k, ...], y [D, k] and patients x [n, ...] to probabilities [D, n], for D draws
of the support at once; a path of settings is predicted in one go. The reference network is adapted
in closed form where one rate holds for all parameters, any other step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from common.adaptation import inner_step
from common.adapted import adapted_probabilities, is_reference, prepare
from common.algorithms.base import constant, theta_of
from common.episodes import Rows
from common.jit import COMPILED
from common.learner import Arithmetic, Learner
from common.parameters import Params

Floats = NDArray[np.float64]
Setting = tuple[float, int]
"""(scale of the inner rates, number of steps)."""

SCALES, STEPS = (0.1, 0.3, 1.0, 3.0), (1, 3, 5, 10, 20)
"""The grid of an adapting arm: 20 settings, the same number for each."""

NETWORK_SCALES, NETWORK_STEPS = (0.3, 1.0, 3.0, 10.0), (2, 5, 10, 20, 50)
"""The grid of a network that starts from random parameters: 20 settings too."""


@dataclass(frozen=True)
class Tunable:
    """Adaptation from `meta` by plain inner steps, with the grid of settings that it may use.

    arithmetic: `auto` takes the closed form where there is one and numba is installed.
    """

    learner: Learner
    meta: Params
    scales: tuple[float, ...] = SCALES
    steps: tuple[int, ...] = STEPS
    arithmetic: Arithmetic = "auto"

    @property
    def own_setting(self) -> Setting:
        """The study's own rate and number of steps, at least one."""
        return 1.0, max(self.learner.settings.inner_steps, 1)

    @property
    def closed(self) -> bool:
        """Whether adaptation is computed in closed form."""
        if self.arithmetic != "auto":
            return self.arithmetic == "reference"
        one_rate = self.learner.algorithm.rates is constant
        known = is_reference(self.meta) and not self.learner.own_model
        return COMPILED and one_rate and known

    def prepare(self) -> None:
        """Compile what predictions need."""
        if self.closed:
            prepare(self.meta)

    def path(self, x: Tensor, y: Tensor, test_x: Tensor) -> dict[Setting, Floats]:
        """Return the probabilities [D, n] under every setting."""
        return self._follow(x, y, test_x, self.scales, self.steps)

    def predict(self, x: Tensor, y: Tensor, test_x: Tensor, setting: Setting) -> Floats:
        """Return the probabilities [D, n] under one setting."""
        scale, steps = setting
        return self._follow(x, y, test_x, (scale,), (steps,))[setting]

    def zero_shot(self, draws: int, test_x: Tensor) -> Floats:
        """Return the probabilities [D, n] without any label: theta as it is."""
        p = _positive(self.learner, theta_of(self.meta), test_x).double().numpy()
        return np.repeat(p[None], draws, axis=0)

    def _follow(
        self, x: Tensor, y: Tensor, test_x: Tensor, scales: Sequence[float], steps: Sequence[int]
    ) -> dict[Setting, Floats]:
        if not self.closed:
            return self._step_by_step(x, y, test_x, scales, steps)
        lr = self.learner.settings.inner_lr
        p = adapted_probabilities(self.meta, x, y, test_x, lr=lr, scales=scales, steps=steps)
        found = p[..., 1].double().numpy()
        return {(s, j): found[i, t] for i, s in enumerate(scales) for t, j in enumerate(steps)}

    def _step_by_step(
        self, x: Tensor, y: Tensor, test_x: Tensor, scales: Sequence[float], steps: Sequence[int]
    ) -> dict[Setting, Floats]:
        """Adapt under all scales at once; predict wherever the path passes a wanted step."""
        learner, draws = self.learner, len(x)
        rates = learner.algorithm.rates(self.meta, learner.settings)

        def step(phi: Params, scale: Tensor, x: Tensor, y: Tensor) -> Params:
            scaled = {name: rate * scale for name, rate in rates.items()}
            rows = Rows(x, y, torch.ones(len(y)))
            return inner_step(learner.loss, phi, rows, scaled, second_order=False)

        scale = torch.tensor(scales).repeat_interleave(draws)
        x, y = torch.cat([x] * len(scales)), torch.cat([y] * len(scales))
        phi = {n: p.expand(len(scale), *p.shape) for n, p in theta_of(self.meta).items()}
        found: dict[Setting, Floats] = {}
        for number in range(1, max(steps) + 1):
            phi = vmap(step)(phi, scale, x, y)
            if number in steps:
                p = vmap(lambda params: _positive(learner, params, test_x))(phi).double().numpy()
                found |= {(s, number): p[i * draws : (i + 1) * draws] for i, s in enumerate(scales)}
        return found


def _positive(learner: Learner, params: Params, x: Tensor) -> Tensor:
    """Return P(y = 1) of x [n, ...] as [n]."""
    return learner.logits(params, x).softmax(-1)[..., 1]
