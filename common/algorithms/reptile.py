"""Reptile: the way from theta to phi, after K plain steps on the whole episode.

Nichol, Achiam, Schulman: "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999,
Algorithm 2. The paper's epsilon is our server's `meta_lr` with plain SGD.
"""

from common.adaptation import adapt
from common.algorithms.base import Algorithm, InnerSettings, constant, rows_of
from common.episodes import Episode
from common.models import Loss
from common.parameters import Params


def difference(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Params:
    """Return theta - phi_K; the server's step theta - epsilon * update is the paper's line 6."""
    rates = constant(meta, settings)
    phi = adapt(loss, meta, rows_of(episode), rates, steps=settings.inner_steps)
    return {name: meta[name] - phi[name] for name in meta}


REPTILE = Algorithm(
    name="reptile",
    summary="Reptile: moves theta towards each episode's adapted model",
    source="Nichol et al. 2018, arXiv 1803.02999",
    group_wise=True,
    episode_update=difference,
    optimizer="sgd",
    meta_lr=1.0,
)
