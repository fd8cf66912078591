"""A study's model, loss and algorithm, put together: the same object on server and site.

A site's update is computed by one of three kinds of arithmetic: `generic` is `torch.func` on any
`nn.Module`, vmapped over sites and episodes; `compiled` is the same through `torch.compile`;
`reference` is the closed form for the reference network, where the algorithm has one. All give the
same numbers to 1e-6.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from common.algorithms.base import (
    Algorithm,
    InnerSettings,
    Reference,
    find_algorithm,
    site_updates,
)
from common.compilation import compiled
from common.crypto import ByteStream
from common.episodes import Episode, EpisodePlan, Rows, Site
from common.errors import NonFiniteError, SettingsError
from common.features import num_inputs
from common.jit import COMPILED
from common.models import Loss, initialize, perceptron, weighted_loss
from common.parameters import Params, count, unflatten
from common.privacy.clipping import clip
from common.privacy.groups import draw_groups
from common.privacy.mechanism import Mechanism
from common.slots import SlottedSite, gather, slotted
from common.study import Study
from common.study_sections import AlgorithmSettings, PrivacySettings

Arithmetic = Literal["auto", "reference", "generic", "compiled"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)


@dataclass(frozen=True)
class Learner:
    """What a study computes. `initial` is the first `meta`: names and shapes of all later ones.

    compute: (meta, episodes [B, E, ...], settings) to the sites' updates [B, d], before privacy.
    own_model: the model is another than the reference network, whatever its shapes.
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
    own_model: bool = False

    @cached_property
    def dim(self) -> int:
        """The number d of learned scalars."""
        return count(self.initial)

    @property
    def mechanism(self) -> Mechanism | None:
        """What bounds and noises the groups' updates, or None where the study asks for no noise."""
        privacy = self.privacy
        if not (privacy.noise_multiplier and privacy.clip_norm):
            return None
        return Mechanism(clip_norm=privacy.clip_norm, noise_multiplier=privacy.noise_multiplier)

    def slotted(self, site: Site) -> SlottedSite:
        """Return the site's patients by slot, for `private_updates`.

        Raises:
            SettingsError: the site has declared too few patients for one group.
        """
        size = self.plan.support + self.plan.query
        return slotted(site, size=size, coin=self.privacy.coin)

    def updates(self, meta: Tensor, episodes: Episode, *, round_index: int) -> Tensor:
        """Return the updates [B, d] of B sites for `meta` [d] in round 1..rounds, without noise.

        episodes: [B, E, ...]. A row may hold NaN or infinity: the caller drops it.
        """
        clip_norm = self.privacy.clip_norm
        if clip_norm is None or self.algorithm.site_update is not None:
            whole = self._computed(meta, episodes, round_index)
            return whole if clip_norm is None else clip(whole, clip_norm=clip_norm)
        single = self._computed(meta, _one_by_one(episodes), round_index)
        clipped = clip(single, clip_norm=clip_norm)
        return (
            clipped.view(len(episodes.support.weight), -1, self.dim).sum(1) / self.plan.meta_batch
        )

    def private_updates(
        self,
        meta: Tensor,
        sites: Sequence[SlottedSite],
        streams: Sequence[ByteStream],
        *,
        round_index: int,
    ) -> Tensor:
        """Return the noised updates [B, d], float32, of B sites with a secret stream each.

        The streams are used up before any patient is read, then by the noise; a stream that was
        used before must never be given again.
        """
        mechanism = self.mechanism
        assert mechanism is not None  # noqa: S101 (the caller has asked)
        drawn = [draw_groups(s.grouping, stream) for s, stream in zip(sites, streams, strict=True)]
        episodes, owner = gather(sites, drawn, support=self.plan.support)
        grouped = Episode(*(Rows(*(part.unsqueeze(1) for part in side)) for side in episodes))
        single = np.zeros((0, self.dim), dtype=np.float32)
        if len(owner):
            single = self._computed(meta, grouped, round_index).numpy()
        released = [
            mechanism.release(single[owner == i], stream, expected=site.grouping.expected)
            for i, (site, stream) in enumerate(zip(sites, streams, strict=True))
        ]
        return torch.from_numpy(np.array(released)).float()

    def _computed(self, meta: Tensor, episodes: Episode, round_index: int) -> Tensor:
        progress = (round_index - 1) / max(self.rounds - 1, 1)
        settings = replace(self.settings, progress=progress)
        return self.compute(unflatten(meta, self.initial), episodes, settings).detach()

    def update(self, meta: Tensor, episodes: Episode, *, round_index: int) -> Tensor:
        """Return one site's update [d] from its episodes [E, ...], without noise.

        Raises:
            NonFiniteError: the update holds NaN or infinity.
        """
        alone = Episode(*(Rows(*(part[None] for part in side)) for side in episodes))
        result = self.updates(meta, alone, round_index=round_index)[0]
        if not torch.isfinite(result).all():
            raise NonFiniteError(
                "the update is NaN or infinite",
                where=f"{self.algorithm.name}, round {round_index}",
                remedy="lower inner_lr or inner_steps",
            )
        return result


def _one_by_one(episodes: Episode) -> Episode:
    """Return the episodes [B, E, ...] as [B * E, 1, ...]: each as if it were a site's only one."""
    return Episode(
        *(Rows(*(part.flatten(0, 1).unsqueeze(1) for part in side)) for side in episodes)
    )


def make_learner(
    study: Study,
    *,
    seed: int,
    arithmetic: Arithmetic = "auto",
    algorithm: Algorithm | None = None,
    build: Callable[[], nn.Module] | None = None,
) -> Learner:
    """Return the study's learner; theta's first values are drawn from `seed`.

    `auto` takes the closed form where the algorithm has one and numba is installed. algorithm: by
    default the one that is installed under the study's name. build: makes the model, by default the
    reference network for the study's features.

    Raises:
        SettingsError: the algorithm or one of its options is unknown or out of range, or the
            arithmetic cannot be had.
    """
    algorithm = algorithm or find_algorithm(study.algorithm.name)
    if build is not None:  # the closed form is the reference network's
        algorithm = replace(algorithm, reference=None)
    _check_fit(algorithm, study)
    settings = inner_settings(algorithm, study.algorithm)
    inputs = num_inputs(study.features)
    reference = partial(perceptron, inputs, hidden=study.model.hidden)
    model, theta = initialize(build or reference, seed)
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
        own_model=build is not None,
    )


def _check_fit(algorithm: Algorithm, study: Study) -> None:
    if study.privacy.noise_multiplier and not algorithm.group_wise:
        raise SettingsError(
            f"{algorithm.name} has no update that one group of patients determines alone",
            where="privacy.noise_multiplier",
            remedy="take another algorithm (docs/algorithms.md), or no noise",
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
