"""A study's model, loss and algorithm, put together: the same object on server and site.

A site's update is computed by one of three kinds of arithmetic: `generic` is `torch.func` on any
`nn.Module`, vmapped over sites and episodes; `compiled` is the same through `torch.compile`;
`reference` is the closed form for the reference network, where the algorithm has one. All give the
same numbers to 1e-6.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from common.algorithms.base import (
    Algorithm,
    InnerSettings,
    Reference,
    find_algorithm,
    site_updates,
)
from common.compilation import compiled
from common.episodes import Episode, EpisodePlan, Rows
from common.errors import NonFiniteError, SettingsError
from common.features import num_inputs
from common.jit import COMPILED
from common.models import Loss, initialize, perceptron, weighted_loss
from common.parameters import Params, count, unflatten
from common.privacy.clipping import clip
from common.privacy.noise import gaussian
from common.study import AlgorithmSettings, PrivacySettings, Study

Arithmetic = Literal["auto", "reference", "generic", "compiled"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)


@dataclass(frozen=True)
class Learner:
    """What a study computes. `initial` is the first `meta`: names and shapes of all later ones.

    compute: (meta, episodes [B, E, ...], settings) to the sites' updates [B, d], before privacy.
    """

    algorithm: Algorithm
    settings: InnerSettings
    loss: Loss
    logits: Callable[[Params, Tensor], Tensor]
    initial: Params
    plan: EpisodePlan
    rounds: int
    privacy: PrivacySettings
    compute: Reference

    @cached_property
    def dim(self) -> int:
        """The number d of learned scalars."""
        return count(self.initial)

    def updates(self, meta: Tensor, episodes: Episode, *, round_index: int) -> Tensor:
        """Return the updates [B, d] of B sites for `meta` [d] in round 1..rounds, before noise.

        episodes: [B, E, ...]. A row may hold NaN or infinity: the caller drops it.
        """
        progress = (round_index - 1) / max(self.rounds - 1, 1)
        settings = replace(self.settings, progress=progress)
        params, clip_norm = unflatten(meta, self.initial), self.privacy.clip_norm
        if clip_norm is None:
            return self.compute(params, episodes, settings).detach()
        if self.algorithm.site_update is not None:
            return clip(self.compute(params, episodes, settings).detach(), clip_norm=clip_norm)
        sites = len(episodes.support.weight)
        single = self.compute(params, _one_by_one(episodes), settings).detach()
        clipped = clip(single, clip_norm=clip_norm).view(sites, -1, self.dim)
        return clipped.sum(1) / self.plan.meta_batch  # what was drawn is no public number

    def noise(self, rng: np.random.Generator) -> Tensor | None:
        """Return the noise [d] of one site's update, or None where the study asks for none."""
        privacy = self.privacy
        if not (privacy.noise_multiplier and privacy.clip_norm):
            return None
        parts = 1 if self.algorithm.site_update is not None else self.plan.meta_batch
        return gaussian(rng, self.dim, std=privacy.noise_multiplier * privacy.clip_norm / parts)

    def update(
        self, meta: Tensor, episodes: Episode, *, round_index: int, noise: Tensor | None = None
    ) -> Tensor:
        """Return one site's update [d] from its episodes [E, ...], with the noise added.

        Raises:
            NonFiniteError: the update holds NaN or infinity.
        """
        alone = Episode(*(Rows(*(part[None] for part in side)) for side in episodes))
        (result,) = self.updates(meta, alone, round_index=round_index)
        if not torch.isfinite(result).all():
            raise NonFiniteError(
                "the update is NaN or infinite",
                where=f"{self.algorithm.name}, round {round_index}",
                remedy="lower inner_lr or inner_steps",
            )
        released: Tensor = result if noise is None else result + noise
        return released


def _one_by_one(episodes: Episode) -> Episode:
    """Return the episodes [B, E, ...] as [B * E, 1, ...]: each as if it were a site's only one."""
    return Episode(
        *(Rows(*(part.flatten(0, 1).unsqueeze(1) for part in side)) for side in episodes)
    )


def make_learner(study: Study, *, seed: int, arithmetic: Arithmetic = "auto") -> Learner:
    """Return the study's learner; theta's first values are drawn from `seed`.

    `auto` takes the closed form where the algorithm has one and numba is installed.

    Raises:
        SettingsError: the algorithm or one of its options is unknown or out of range, or the
            arithmetic cannot be had.
    """
    algorithm = find_algorithm(study.algorithm.name)
    settings = inner_settings(algorithm, study.algorithm)
    inputs = num_inputs(study.features)
    model, theta = initialize(lambda: perceptron(inputs, hidden=study.model.hidden), seed)
    loss = weighted_loss(model)
    return Learner(
        algorithm=algorithm,
        settings=settings,
        loss=loss,
        logits=lambda params, x: functional_call(model, params, (x,)),
        initial=algorithm.initial(theta, settings),
        plan=EpisodePlan(**study.episodes.model_dump()),
        rounds=study.server.rounds,
        privacy=study.privacy,
        compute=choose(algorithm, loss, arithmetic),
    )


def choose(algorithm: Algorithm, loss: Loss, arithmetic: Arithmetic) -> Reference:
    """Return the function that computes the sites' updates of the reference network.

    Raises:
        SettingsError: the algorithm has no closed form, or there is no compiler.
    """
    if arithmetic == "reference" and algorithm.reference is None:
        raise SettingsError(
            f"{algorithm.name} has no closed form", where="arithmetic", remedy="take generic"
        )
    wanted = arithmetic == "reference" or (arithmetic == "auto" and COMPILED)
    if wanted and algorithm.reference is not None:
        return algorithm.reference

    def generic(meta: Params, episodes: Episode, settings: InnerSettings) -> Tensor:
        return site_updates(algorithm, loss, meta, episodes, settings)

    return compiled(generic) if arithmetic == "compiled" else generic


def inner_settings(algorithm: Algorithm, given: AlgorithmSettings) -> InnerSettings:
    """Return the inner loop's settings with the algorithm's own options checked and complete."""
    if unknown := set(given.options) - set(algorithm.options):
        raise SettingsError(
            f"{algorithm.name} has no option {min(unknown)}",
            where="algorithm.options",
            remedy=f"it has: {', '.join(algorithm.options) or 'none'}",
        )
    options: Mapping[str, float] = {n: o.default for n, o in algorithm.options.items()}
    options = {**options, **given.options}
    for name, option in algorithm.options.items():
        if not option.low <= options[name] <= option.high:
            raise SettingsError(
                f"{name} is {options[name]}",
                where="algorithm.options",
                remedy=f"give a number from {option.low} to {option.high}",
            )
    return InnerSettings(inner_lr=given.inner_lr, inner_steps=given.inner_steps, options=options)
