"""Whole rounds of the benchmark on Apple's pfl: the simulator to compare a simulator with.

Granqvist et al., "pfl-research: simulation framework for accelerating research in Private Federated
Learning", NeurIPS 2024 (datasets and benchmarks), arXiv 2404.06430; pfl 0.6.0.

The round is pfl's own: `FederatedAlgorithm.run` asks for one cohort, `SimulatedBackend` walks over
its users, has each compute its statistics and adds them up, `PyTorchModel` takes the central
optimizer's step. It is made as light as pfl allows: no metric, no evaluation, no callback, and a
user's statistics are one flat vector, so that adding two users is one operation.
"""

import importlib
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from common.episodes import Episode
from common.parameters import Params, unflatten
from simulation.bench.peers import Arithmetic

Draw = Callable[[int, int], Episode]
"""(site, round) to that site's episodes [1, E, ...]."""

Round = Callable[[int], Params]
"""A round's number to theta after it."""

_VECTOR = "meta-gradient"


@dataclass(frozen=True, kw_only=True)
class _User:
    """What a site computes in a round."""

    draw: Draw
    arithmetic: Arithmetic
    inner_lr: float
    inner_steps: int

    def __call__(self, theta: Params, site: int, round_index: int) -> Tensor:
        episodes = self.draw(site, round_index)
        return self.arithmetic(
            theta, episodes, inner_lr=self.inner_lr, inner_steps=self.inner_steps
        )[0]


class _Perceptron(nn.Sequential):
    """The model as pfl wants it; its loss and metrics are there because pfl asks for them."""

    def loss(self, *user_data: Tensor) -> Tensor:
        raise NotImplementedError("the user's arithmetic holds the loss")

    def metrics(self, *user_data: Tensor) -> dict[str, Any]:
        raise NotImplementedError("nothing is evaluated")


def rounds(
    theta: Params,
    draw: Draw,
    arithmetic: Arithmetic,
    *,
    sites: int,
    inner_lr: float,
    inner_steps: int,
    meta_lr: float,
) -> Round:
    """Return a function that runs one whole round over all sites and returns theta after it.

    theta: a perceptron's (`common.models.perceptron`). Each call goes on from the one before.
    """
    _load_pfl()
    from pfl.aggregate.simulate import SimulatedBackend

    user = _User(draw=draw, arithmetic=arithmetic, inner_lr=inner_lr, inner_steps=inner_steps)
    model = _central_model(theta, meta_lr)
    users = _users(sites)
    backend = SimulatedBackend(training_data=users, val_data=users)
    algorithm = _algorithm(user, model, sites)
    view = {name: p.detach() for name, p in model.variable_map.items()}

    def one_round(round_index: int) -> Params:
        algorithm.round_index = round_index
        algorithm.run(None, backend, model, None, send_metrics_to_platform=False)
        return {name: p.clone() for name, p in view.items()}

    return one_round


def _load_pfl() -> None:
    """Import pfl, and take back that it sets how multiprocessing starts every process from now."""
    before = multiprocessing.get_start_method(allow_none=True)
    importlib.import_module("pfl.model.pytorch")
    multiprocessing.set_start_method(before, force=True)


def _central_model(theta: Params, meta_lr: float) -> Any:
    """Return theta as pfl's model with Adam as its central optimizer."""
    from pfl.model.pytorch import PyTorchModel

    (hidden, inputs), outputs = theta["0.weight"].shape, len(theta["2.bias"])
    model = _Perceptron(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    model.load_state_dict(theta)
    return PyTorchModel(
        model=model,
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.Adam(model.parameters(), lr=meta_lr),
    )


def _users(sites: int) -> Any:
    """Return the federated data set: user i holds its number, and draws when its turn comes.

    Its own class, as pfl means it to be: pfl's `FederatedDataset` seeds NumPy for each user, and
    that alone takes three quarters of pfl's time when all users take part.
    """
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDatasetBase

    users = [Dataset((torch.tensor([site]),), user_id=str(site)) for site in range(sites)]

    class AllUsers(FederatedDatasetBase):  # type: ignore[misc, unused-ignore]
        """Every user once a round."""

        def __next__(self) -> Any:
            raise NotImplementedError("users come as a cohort")

        def get_cohort(self, cohort_size: int) -> Iterator[tuple[Any, None]]:
            return ((user, None) for user in users[:cohort_size])

    return AllUsers()


def _algorithm(user: _User, model: Any, sites: int) -> Any:
    """Return MAML as an algorithm of pfl; each `run` of it is one round.

    Its class is made here, so that pfl is imported by those who use it.
    """
    from pfl.algorithm.base import FederatedAlgorithm
    from pfl.metrics import Metrics
    from pfl.stats import MappedVectorStatistics

    theta = {name: p.detach() for name, p in model.variable_map.items()}  # Adam steps in place

    class FederatedMaml(FederatedAlgorithm):  # type: ignore[misc, type-arg, unused-ignore]
        """Second-order MAML, one cohort a round."""

        round_index = 0
        asked = False

        def get_next_central_contexts(self, model: Any, *_: Any) -> Any:
            self.asked = not self.asked
            if not self.asked:
                return None, model, Metrics()
            return (_cohort_of(sites, self.round_index),), model, Metrics()

        def simulate_one_user(self, model: Any, user_dataset: Any, central_context: Any) -> Any:
            round_index = central_context.current_central_iteration
            vector = user(theta, int(user_dataset.user_id), round_index)
            return MappedVectorStatistics({_VECTOR: vector}), Metrics()

        def process_aggregated_statistics(
            self, central_context: Any, aggregate_metrics: Any, model: Any, statistics: Any
        ) -> Any:
            statistics.average()
            # pfl's update is what is added to theta: against the gradient.
            update = unflatten(-statistics[_VECTOR], theta)
            return model.apply_model_update(MappedVectorStatistics(update))

    return FederatedMaml()


def _cohort_of(sites: int, round_index: int) -> Any:
    """Return what pfl is asked for in a round: the statistics of so many users."""
    from pfl.common_types import Population
    from pfl.context import CentralContext

    return CentralContext(
        current_central_iteration=round_index,
        do_evaluation=False,
        cohort_size=sites,
        population=Population.TRAIN,
        algorithm_params=None,
        model_train_params=None,
    )
