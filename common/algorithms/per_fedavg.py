"""Per-FedAvg: FedAvg on the loss after one gradient step, so that theta adapts well.

Fallah, Mokhtari, Ozdaglar: "Personalized Federated Learning with Theoretical Guarantees: A
Model-Agnostic Meta-Learning Approach", NeurIPS 2020, arXiv 2002.07948, Algorithm 1 and equation 8.

One local step: u = w - a grad L(w; D); v = grad L(u; D'); w <- w - b (v - a H(w; D'') v).
The Hessian-vector product is exact (forward over reverse). Where the paper's HF variant takes a
finite difference, ours needs no step size; `second_order` = 0 leaves the term out (its FO variant).
D is an episode's support, D' its query, D'' the support of the next episode (the paper draws
three independent batches).
"""

from torch.func import grad, jvp

from common.adaptation import inner_step
from common.algorithms.base import Algorithm, InnerSettings, Option, constant
from common.episodes import Episode, Rows
from common.models import Loss
from common.parameters import Params


def local_step(
    loss: Loss, w: Params, batches: tuple[Rows, Rows, Rows], settings: InnerSettings
) -> Params:
    """Return w after one step on the independent batches D, D', D''."""
    first, second, third = batches
    a, b = settings.inner_lr, settings.options["local_lr"]
    u = inner_step(loss, w, first, constant(w, settings), second_order=False)
    v = grad(loss)(u, *second)
    direction = v
    if settings.options["second_order"]:
        hv = jvp(lambda params: grad(loss)(params, *third), (w,), (v,))[1]
        direction = {name: v[name] - a * hv[name] for name in v}
    return {name: p - b * direction[name] for name, p in w.items()}


def local_training(loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings) -> Params:
    """Return theta - w after one local step for each episode [E, ...] in turn."""
    support, query = (
        [Rows(*r) for r in zip(*(p.unbind(0) for p in side), strict=True)] for side in episodes
    )
    w = meta
    for i, first in enumerate(support):
        third = support[(i + 1) % len(support)]
        w = local_step(loss, w, (first, query[i], third), settings)
    return {name: meta[name] - w[name] for name in meta}


PER_FEDAVG = Algorithm(
    name="per-fedavg",
    summary="Per-FedAvg with exact Hessian-vector products",
    source="Fallah et al. 2020, arXiv 2002.07948",
    site_update=local_training,
    options={
        "local_lr": Option(default=0.1, low=0.0, high=10.0, meaning="outer rate b of a local step"),
        "second_order": Option(default=1, low=0, high=1, meaning="1: exact; 0: first order"),
    },
    optimizer="sgd",
    meta_lr=1.0,
)
