"""Meta-SGD: every parameter's inner rate is learned with theta.

Li, Zhou, Chen, Li: "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017,
arXiv 1707.09835. For K = 1 the gradient of the rates is -grad L_Q(phi_1) * grad L_S(theta),
elementwise (Algorithm 1); for K > 1 it runs through all steps.
"""

import torch
from torch import Tensor

from common.adaptation import adapt
from common.algorithms.base import RATE, Algorithm, InnerSettings, gradient_of, theta_of
from common.episodes import Episode
from common.models import Loss
from common.parameters import Params


def with_rates(theta: Params, settings: InnerSettings) -> Params:
    """Return theta and, for each tensor, rates of its shape that start at `inner_lr`."""
    return theta | {RATE + n: torch.full_like(p, settings.inner_lr) for n, p in theta.items()}


def learned_rates(meta: Params, settings: InnerSettings) -> Params:
    """Return A, the learned rates, under the names of theta."""
    return {name: meta[RATE + name] for name in theta_of(meta)}


def query_loss(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Tensor:
    """Return L_Q(phi_K), phi_{j+1} = phi_j - A * grad L_S(phi_j) (equation 2)."""
    rates = learned_rates(meta, settings)
    steps = settings.inner_steps
    phi = adapt(loss, theta_of(meta), episode.support, rates, steps=steps, second_order=True)
    return loss(phi, *episode.query)


META_SGD = Algorithm(
    name="meta-sgd",
    summary="Meta-SGD: learns theta and one inner rate a parameter",
    source="Li et al. 2017, arXiv 1707.09835",
    group_wise=True,
    episode_update=gradient_of(query_loss),
    initial=with_rates,
    rates=learned_rates,
)
