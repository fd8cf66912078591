"""What an algorithm is: the update that a site computes, and how theta is adapted in use.

The server does the same for all of them: meta <- MetaOpt(meta, sum_i w_i update_i), where `meta` is
what the federation learns (theta, for some algorithms also inner rates) and an update has the sign
and the shape of a gradient of it.

To add an algorithm, write a module that makes an `Algorithm` and name it in a package's metadata:

    [project.entry-points."wardround.algorithms"]
    my-algorithm = "my_package.my_module:MY_ALGORITHM"
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from common.adaptation import constant_rates
from common.episodes import Episode, Rows
from common.errors import SettingsError
from common.installed import find_installed
from common.models import Loss
from common.optimizers import OptimizerName
from common.parameters import Params

RATE = "rate/"
"""Prefix of learned inner rates in `meta`; no parameter of a torch module can hold a slash."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A number that only this algorithm has: its default and the range that is accepted."""

    default: float
    low: float
    high: float
    meaning: str


@dataclass(frozen=True, kw_only=True)
class InnerSettings:
    """The inner loop's settings: step size a, number of steps K, and the algorithm's options.

    progress: share of the rounds that are done, 0 to 1, for algorithms with a schedule.
    """

    inner_lr: float = 0.1
    inner_steps: int = 1
    options: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    progress: float = 0.0


EpisodeUpdate = Callable[[Loss, Params, Episode, InnerSettings], Params]
"""One episode's update, shaped like `meta`. Pure: it is vmapped over episodes (and later sites)."""

SiteUpdate = Callable[[Loss, Params, Episode, InnerSettings], Params]
"""A site's update from all its episodes, stacked [E, ...], where it is no mean over episodes."""

Reference = Callable[[Params, Episode, InnerSettings], Tensor]
"""(meta, episodes [B, E, ...], settings) to the updates [B, d], for the reference network."""

Rates = Callable[[Params, InnerSettings], Mapping[str, Tensor]]
"""(meta, settings) to the inner rate of each parameter of theta: 0-d or shaped like it."""


def constant(meta: Params, settings: InnerSettings) -> Params:
    """Return `inner_lr` for every parameter."""
    return constant_rates(theta_of(meta), settings.inner_lr)


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """An algorithm; give exactly one of `episode_update` and `site_update`.

    reference: the same update for `common.models.perceptron` with cross-entropy, but faster; tests
    prove it equal. initial: theta to the first `meta`. rates: inner rates, in training and in use.
    optimizer, meta_lr: the server optimizer that a study takes if it names none. group_wise: the
    algorithm declares that its update for one episode alone is a function of that episode and
    public values only, and worth having: what patient-level differential privacy needs.
    """

    name: str
    summary: str
    source: str
    episode_update: EpisodeUpdate | None = None
    site_update: SiteUpdate | None = None
    reference: Reference | None = None
    initial: Callable[[Params, InnerSettings], Params] = lambda theta, settings: theta
    rates: Rates = constant
    options: Mapping[str, Option] = field(default_factory=dict)
    optimizer: OptimizerName = "adam"
    meta_lr: float = 0.003
    group_wise: bool = False

    def __post_init__(self) -> None:
        if (self.episode_update is None) == (self.site_update is None):
            raise SettingsError(
                "an algorithm has one of episode_update and site_update",
                where=self.name,
                remedy="give exactly one of them",
            )


def update(
    algorithm: Algorithm, loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings
) -> Params:
    """Return a site's update: the mean over its episodes [E, ...], or the algorithm's own sum."""
    if algorithm.site_update is not None:
        return algorithm.site_update(loss, meta, episodes, settings)
    per_episode = episode_updates(algorithm, loss, meta, episodes, settings)
    return {name: u.mean(0) for name, u in per_episode.items()}


def episode_updates(
    algorithm: Algorithm, loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings
) -> Params:
    """Return each episode's own update, stacked [E, ...]."""
    one = algorithm.episode_update
    assert one is not None  # noqa: S101 (checked at construction)
    stacked: Params = vmap(lambda episode: one(loss, meta, episode, settings))(episodes)
    return stacked


def site_updates(
    algorithm: Algorithm, loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings
) -> Tensor:
    """Return the updates [B, d] of B sites with equally many episodes [B, E, ...].

    One vmap over sites and episodes together, where an update is a mean over episodes.
    """
    sites, each = episodes.support.weight.shape[:2]
    if algorithm.site_update is not None:
        stacked: Params = vmap(lambda own: update(algorithm, loss, meta, own, settings))(episodes)
        return torch.cat([u.flatten(1) for u in stacked.values()], dim=1)
    flat = Episode(*(Rows(*(part.flatten(0, 1) for part in side)) for side in episodes))
    single = episode_updates(algorithm, loss, meta, flat, settings).values()
    return torch.cat([u.view(sites, each, -1).mean(1) for u in single], dim=1)


def gradient_of(
    objective: Callable[[Loss, Params, Episode, InnerSettings], Tensor],
) -> EpisodeUpdate:
    """Return the episode update that is the exact gradient of `objective` with respect to meta."""

    def episode_update(
        loss: Loss, meta: Params, episode: Episode, settings: InnerSettings
    ) -> Params:
        gradient, _ = grad_and_value(objective, argnums=1)(loss, meta, episode, settings)
        return gradient  # type: ignore[no-any-return]

    return episode_update


def theta_of(meta: Params) -> Params:
    """Return the initialization without learned rates."""
    return {name: p for name, p in meta.items() if not name.startswith(RATE)}


def rows_of(episode: Episode) -> Rows:
    """Return support and query as one set of rows, for algorithms that do not split."""
    axis = episode.support.weight.dim() - 1  # rows; x and y may have more axes behind it
    return Rows(*(torch.cat(pair, dim=axis) for pair in zip(*episode, strict=True)))


def find_algorithm(name: str) -> Algorithm:
    """Return the algorithm that is installed under `name`.

    Raises:
        SettingsError: there is none; the message lists those that there are.
    """
    return find_installed(Algorithm, name, where="algorithm")
