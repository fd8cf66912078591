from collections.abc import Callable
from typing import Any

import pytest
import torch

from common.algorithms.base import InnerSettings, update
from common.algorithms.fedavg import FEDAVG, FEDPROX
from common.episodes import Episode
from common.parameters import Params, flatten
from tests.common.algorithms.gradients import each_episode
from tests.common.by_torch import sgd, whole

Build = Callable[..., Any]


def update_by_torch(p: Any, *, epochs: int, mu: float = 0.0) -> Params:
    """Return theta - phi after SGD with a step for each episode, in order."""
    batches = [whole(episode) for episode in each_episode(p.episodes)]
    phi = sgd(p, batches, lr=0.3, epochs=epochs, mu=mu)
    return {name: theta - phi[name] for name, theta in p.theta.items()}


@pytest.mark.parametrize("epochs", [1, 3])
def test_fedavg_is_plain_sgd_over_the_episodes_in_order(make_problem: Build, epochs: int) -> None:
    p = make_problem(padded=False)
    settings = InnerSettings(inner_lr=0.3, options={"epochs": epochs})
    ours = update(FEDAVG, p.loss, p.theta, p.episodes, settings)
    theirs = update_by_torch(p, epochs=epochs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mu", [0.1, 2.0])
def test_fedprox_is_sgd_on_the_loss_with_the_proximal_term(make_problem: Build, mu: float) -> None:
    p = make_problem(padded=False)
    settings = InnerSettings(inner_lr=0.3, options={"epochs": 3, "mu": mu})
    ours = update(FEDPROX, p.loss, p.theta, p.episodes, settings)
    theirs = update_by_torch(p, epochs=3, mu=mu)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_fedprox_without_a_pull_is_fedavg(make_problem: Build) -> None:
    p = make_problem()
    prox = InnerSettings(inner_lr=0.3, options={"epochs": 2, "mu": 0.0})
    plain = InnerSettings(inner_lr=0.3, options={"epochs": 2})
    torch.testing.assert_close(
        update(FEDPROX, p.loss, p.theta, p.episodes, prox),
        update(FEDAVG, p.loss, p.theta, p.episodes, plain),
        rtol=0,
        atol=1e-12,
    )


def test_a_stronger_pull_stays_nearer_to_theta(make_problem: Build) -> None:
    p = make_problem()
    moved = [
        flatten(
            update(
                FEDPROX,
                p.loss,
                p.theta,
                p.episodes,
                InnerSettings(inner_lr=0.1, options={"epochs": 5, "mu": mu}),
            )
        ).norm()
        for mu in (0.0, 1.0, 5.0)
    ]
    assert moved[0] > moved[1] > moved[2] > 0


def test_padded_rows_change_nothing(
    make_problem: Build, rearranged: Callable[[str, Episode], Episode]
) -> None:
    p = make_problem()
    settings = InnerSettings(inner_lr=0.3, options={"epochs": 2, "mu": 0.1})
    one, other = (
        update(FEDPROX, p.loss, p.theta, episodes, settings)
        for episodes in (p.episodes, rearranged("padded", p.episodes))
    )
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("algorithm", [FEDAVG, FEDPROX], ids=["fedavg", "fedprox"])
def test_a_server_step_of_one_takes_the_mean_of_the_models(algorithm: Any) -> None:
    assert (algorithm.optimizer, algorithm.meta_lr) == ("sgd", 1.0)


@pytest.mark.parametrize("algorithm", [FEDAVG, FEDPROX], ids=["fedavg", "fedprox"])
def test_every_option_has_a_default_inside_its_range(algorithm: Any) -> None:
    assert all(option.low <= option.default <= option.high for option in algorithm.options.values())
