"""FedAvg and FedProx: a site trains the shared model on its patients, episode after episode.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas: "Communication-Efficient Learning of Deep Networks
from Decentralized Data", AISTATS 2017, arXiv 1602.05629. FedProx: Li, Sahu, Zaheer, Sanjabi,
Talwalkar, Smith, "Federated Optimization in Heterogeneous Networks", MLSys 2020, arXiv 1812.06127.

The update is theta - w, so a server that takes plain steps of 1 replaces theta by the mean of the
sites' models: FedAvg. With Adam it is FedAdam (Reddi et al. 2021, arXiv 2003.00295). The local
mini-batches are the episodes of the round, support and query together, in order.
"""

from functools import partial

from torch import Tensor

from common.adaptation import inner_step
from common.algorithms.base import Algorithm, InnerSettings, Option, constant, rows_of
from common.episodes import Episode, Rows
from common.models import Loss
from common.parameters import Params
from common.reference import sgd_updates


def local_training(
    loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings, *, proximal: bool
) -> Params:
    """Return theta - w, w = theta after `epochs` passes of SGD over the episodes [E, ...].

    FedProx: mu / 2 * ||w - theta||^2 is added to the loss (equation 2); mu = 0 is FedAvg.
    """
    mu = settings.options["mu"] if proximal else 0.0

    def pulled(w: Params, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        pull = sum(((w[n] - meta[n]).square().sum() for n in meta), start=weight.new_zeros(()))
        return loss(w, x, y, weight) + mu / 2 * pull

    rates, w = constant(meta, settings), meta
    batches = rows_of(episodes)
    for _ in range(int(settings.options["epochs"])):
        for batch in zip(*(part.unbind(0) for part in batches), strict=True):
            objective = pulled if proximal else loss
            w = inner_step(objective, w, Rows(*batch), rates, second_order=False)
    return {name: meta[name] - w[name] for name in meta}


def reference_updates(
    meta: Params, episodes: Episode, settings: InnerSettings, *, proximal: bool
) -> Tensor:
    """Return the sites' updates [B, d] for the reference network, compiled."""
    mu = settings.options["mu"] if proximal else 0.0
    epochs = int(settings.options["epochs"])
    return sgd_updates(meta, rows_of(episodes), lr=settings.inner_lr, mu=mu, epochs=epochs)


EPOCHS = Option(default=1, low=1, high=100, meaning="passes over the round's episodes")

FEDAVG = Algorithm(
    name="fedavg",
    summary="FedAvg: one model for all, the mean of local trainings",
    source="McMahan et al. 2017, arXiv 1602.05629",
    group_wise=True,
    site_update=partial(local_training, proximal=False),
    reference=partial(reference_updates, proximal=False),
    options={"epochs": EPOCHS},
    optimizer="sgd",
    meta_lr=1.0,
)

FEDPROX = Algorithm(
    name="fedprox",
    summary="FedProx: FedAvg with a pull towards the shared model",
    source="Li et al. 2020, arXiv 1812.06127",
    group_wise=True,
    site_update=partial(local_training, proximal=True),
    reference=partial(reference_updates, proximal=True),
    options={
        "epochs": EPOCHS,
        "mu": Option(default=0.1, low=0.0, high=1e3, meaning="strength of the proximal term"),
    },
    optimizer="sgd",
    meta_lr=1.0,
)
