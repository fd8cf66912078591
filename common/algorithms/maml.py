"""MAML with the exact second-order meta-gradient, and its first-order approximation.

Finn, Abbeel, Levine: "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
ICML 2017, arXiv 1703.03400; federated: Chen et al., "Federated Meta-Learning with Fast Convergence
and Efficient Communication", 2018, arXiv 1802.07876. First order: section 5.2 of the former, and
Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999.
"""

from functools import partial

from torch import Tensor

from common.adaptation import adapt
from common.algorithms.base import Algorithm, InnerSettings, constant, gradient_of
from common.episodes import Episode
from common.models import Loss
from common.parameters import Params
from common.reference import maml_updates


def query_loss(
    loss: Loss, meta: Params, episode: Episode, settings: InnerSettings, *, second_order: bool
) -> Tensor:
    """Return L_Q(phi_K), phi_K = theta after K steps on the support (Algorithm 2, line 10)."""
    phi = adapt(
        loss,
        meta,
        episode.support,
        constant(meta, settings),
        steps=settings.inner_steps,
        second_order=second_order,
    )
    return loss(phi, *episode.query)


def reference_updates(
    meta: Params, episodes: Episode, settings: InnerSettings, *, second_order: bool
) -> Tensor:
    """Return the sites' updates [B, d] for the reference network, in closed form."""
    lr, steps = settings.inner_lr, settings.inner_steps
    return maml_updates(meta, episodes, lr=lr, steps=steps, second_order=second_order)


MAML = Algorithm(
    name="maml",
    summary="MAML, exact second order: the gradient runs through all inner steps",
    source="Finn et al. 2017, arXiv 1703.03400",
    group_wise=True,
    episode_update=gradient_of(partial(query_loss, second_order=True)),
    reference=partial(reference_updates, second_order=True),
)

FOMAML = Algorithm(
    name="fomaml",
    summary="first-order MAML: the query gradient at phi",
    source="Finn et al. 2017, section 5.2",
    group_wise=True,
    episode_update=gradient_of(partial(query_loss, second_order=False)),
    reference=partial(reference_updates, second_order=False),
)
