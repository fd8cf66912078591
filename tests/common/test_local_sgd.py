"""FedAvg's compiled local training against its definition."""

from functools import partial

import pytest
import torch

from common.algorithms.base import Algorithm, InnerSettings, site_updates
from common.algorithms.fedavg import FEDAVG, FEDPROX
from common.episodes import Episode, Rows
from common.models import initialize, perceptron, weighted_loss
from common.randomness import generator


def rows(size: int, dtype: torch.dtype, classes: int) -> Rows:
    rng = generator("local sgd", size)
    weight = torch.ones(2, 3, size, dtype=dtype)
    weight[:, 1, size - 2 :] = 0
    x = torch.from_numpy(rng.standard_normal((2, 3, size, 5))).to(dtype)
    return Rows(x, torch.from_numpy(rng.integers(0, classes, (2, 3, size))), weight)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (FEDAVG, {"epochs": 1}),
        (FEDAVG, {"epochs": 3}),
        (FEDPROX, {"epochs": 2, "mu": 0.7}),
        (FEDPROX, {"epochs": 2, "mu": 0.0}),
    ],
    ids=["fedavg", "fedavg-3-epochs", "fedprox", "fedprox-mu-0"],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_it_equals_the_generic_path(
    algorithm: Algorithm, options: dict[str, float], dtype: torch.dtype, tolerance: float
) -> None:
    model, theta = initialize(lambda: perceptron(5, hidden=8), 1)
    theta = {name: p.to(dtype) for name, p in theta.items()}
    loss = weighted_loss(model.to(dtype))
    episodes = Episode(rows(4, dtype, 2), rows(7, dtype, 2))
    settings = InnerSettings(inner_lr=0.3, options=options)
    generic = partial(site_updates, algorithm, loss)
    assert algorithm.reference
    torch.testing.assert_close(
        algorithm.reference(theta, episodes, settings),
        generic(theta, episodes, settings),
        rtol=0,
        atol=tolerance,
    )


def test_the_proximal_term_has_a_part_in_it() -> None:
    _, theta = initialize(lambda: perceptron(5, hidden=8), 1)
    episodes = Episode(rows(4, torch.float32, 2), rows(7, torch.float32, 2))
    assert FEDPROX.reference
    free, pulled = (
        FEDPROX.reference(
            theta, episodes, InnerSettings(inner_lr=0.3, options={"epochs": 2, "mu": mu})
        )
        for mu in (0.0, 1.0)
    )
    assert pulled.norm() < free.norm()
