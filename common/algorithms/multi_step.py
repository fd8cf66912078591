"""Multi-step loss: the query loss after every inner step counts, annealed towards the last.

Antoniou, Edwards, Storkey: "How to train your MAML", ICLR 2019, arXiv 1810.09502, section 4.
"""

from torch import Tensor

from common.adaptation import inner_step
from common.algorithms.base import Algorithm, InnerSettings, constant, gradient_of
from common.episodes import Episode
from common.models import Loss
from common.parameters import Params


def step_weights(steps: int, progress: float) -> list[float]:
    """Return v_1..v_K, sum 1: equal at `progress` 0, nearly all on the last step at 1.

    v_j = max((1 - progress) / K, .03 / K) for j < K; the last step takes the rest.
    """
    early = max((1 - progress) / steps, 0.03 / steps)
    return [early] * (steps - 1) + [1 - early * (steps - 1)]


def weighted_query_loss(
    loss: Loss, meta: Params, episode: Episode, settings: InnerSettings
) -> Tensor:
    """Return sum_j v_j L_Q(phi_j), j = 1..K (equation 3)."""
    rates, phi = constant(meta, settings), meta
    total = loss(phi, *episode.query) * float(settings.inner_steps == 0)
    for weight in (
        step_weights(settings.inner_steps, settings.progress) if settings.inner_steps else ()
    ):
        phi = inner_step(loss, phi, episode.support, rates, second_order=True)
        total = total + weight * loss(phi, *episode.query)
    return total


MULTI_STEP = Algorithm(
    name="multi-step",
    summary="MAML with the annealed multi-step loss",
    source="Antoniou et al. 2019, arXiv 1810.09502",
    group_wise=True,
    episode_update=gradient_of(weighted_query_loss),
)
