"""ANIL: the inner loop adapts the head only; the meta-gradient is for all of theta.

Raghu, Raghu, Bengio, Vinyals: "Rapid Learning or Feature Reuse? Towards Understanding the
Effectiveness of MAML", ICLR 2020, arXiv 1909.09157, section 4.
"""

from torch import Tensor

from common.adaptation import adapt
from common.algorithms.base import Algorithm, InnerSettings, gradient_of
from common.episodes import Episode
from common.models import Loss
from common.parameters import Params


def head_of(theta: Params) -> set[str]:
    """Return the names of the head: the parameters of the last module that has any.

    >>> sorted(head_of({"0.weight": ..., "0.bias": ..., "2.weight": ..., "2.bias": ...}))
    ['2.bias', '2.weight']
    """
    last = list(theta)[-1].rpartition(".")[0]
    return {name for name in theta if name.rpartition(".")[0] == last}


def head_rates(meta: Params, settings: InnerSettings) -> Params:
    """Return `inner_lr` for the head and 0 for the rest."""
    head = head_of(meta)
    return {n: p.new_tensor(settings.inner_lr if n in head else 0.0) for n, p in meta.items()}


def query_loss(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Tensor:
    """Return L_Q after K inner steps of the head."""
    rates = head_rates(meta, settings)
    phi = adapt(loss, meta, episode.support, rates, steps=settings.inner_steps, second_order=True)
    return loss(phi, *episode.query)


ANIL = Algorithm(
    name="anil",
    summary="ANIL: only the head adapts, exact second order through it",
    source="Raghu et al. 2020, arXiv 1909.09157",
    group_wise=True,
    episode_update=gradient_of(query_loss),
    rates=head_rates,
)
