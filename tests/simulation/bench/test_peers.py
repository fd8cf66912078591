"""Every peer of the benchmark computes what this project computes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.episodes import Episode, Rows
from common.models import initialize, perceptron, weighted_loss
from common.optimizers import initial_state, optimizer_step
from common.parameters import Params, flatten, unflatten
from simulation.bench.peers import (
    JAX_ENVIRONMENT,
    Arithmetic,
    higher_loop,
    make_jax,
    random_episodes,
    set_jax_environment,
    torch_loop,
)

INNER_LR, FEATURES = 0.3, 5
LIBRARY = {"loop": "torch", "higher": "higher", "jax": "jax"}


def arithmetic(name: str) -> Arithmetic:
    """Return a peer by its name, or skip the test where its library is absent."""
    set_jax_environment()
    pytest.importorskip(LIBRARY[name])
    return {"loop": lambda: torch_loop, "higher": lambda: higher_loop, "jax": make_small_jax}[
        name
    ]()


def make_small_jax() -> Arithmetic:
    return make_jax(chunk=2)


def small_theta(seed: int = 0) -> Params:
    return initialize(lambda: perceptron(FEATURES, hidden=7), seed)[1]


def small_episodes(sites: int, seed: int = 0) -> Episode:
    draw = torch.Generator().manual_seed(seed)
    return random_episodes(sites, draw, episodes=4, support=6, query=8, features=FEATURES)


def site_of(episodes: Episode, index: int) -> Episode:
    return Episode(*(Rows(*(part[index] for part in side)) for side in episodes))


def generic(theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int) -> Tensor:
    """The generic path of this project, site by site: [B, d]."""
    loss = weighted_loss(perceptron(FEATURES, hidden=7))
    settings = InnerSettings(inner_lr=inner_lr, inner_steps=inner_steps)
    sites = (site_of(episodes, index) for index in range(len(episodes.support.x)))
    return torch.stack([flatten(update(MAML, loss, theta, site, settings)) for site in sites])


@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("name", LIBRARY)
def test_a_peer_equals_the_generic_path(name: str, inner_steps: int) -> None:
    peer, theta, episodes = arithmetic(name), small_theta(), small_episodes(sites=5)
    result = peer(theta, episodes, inner_lr=INNER_LR, inner_steps=inner_steps)
    expected = generic(theta, episodes, inner_lr=INNER_LR, inner_steps=inner_steps)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LIBRARY)
def test_a_peer_leaves_theta_alone(name: str) -> None:
    peer, theta = arithmetic(name), small_theta()
    peer(theta, small_episodes(sites=2), inner_lr=INNER_LR, inner_steps=1)
    for name_, value in small_theta().items():
        assert torch.equal(theta[name_], value)
        assert not theta[name_].requires_grad


def test_the_callers_own_jax_settings_are_kept() -> None:
    environment = {"JAX_PLATFORMS": "gpu"}
    set_jax_environment(environment)
    assert environment == {**JAX_ENVIRONMENT, "JAX_PLATFORMS": "gpu"}


@pytest.mark.parametrize("name", ["loop", "ours"])
def test_rounds_on_pfl_equal_the_mean_and_an_adam_step(name: str) -> None:
    pytest.importorskip("pfl")
    from simulation.bench import pfl_rounds

    settings: dict[str, Any] = {"inner_lr": INNER_LR, "inner_steps": 2}
    theta, sites, meta_lr = small_theta(), 3, 0.01
    one_round = pfl_rounds.rounds(
        theta,
        draw_noise,
        {"loop": torch_loop, "ours": generic}[name],
        sites=sites,
        meta_lr=meta_lr,
        **settings,
    )
    meta = flatten(theta)
    state = initial_state("adam", meta)
    for round_index in (1, 2):
        gradients = [
            generic(unflatten(meta, theta), draw_noise(site, round_index), **settings)
            for site in range(sites)
        ]
        meta, state = optimizer_step("adam", meta, torch.cat(gradients).mean(0), state, lr=meta_lr)
        result = flatten(one_round(round_index))
        torch.testing.assert_close(result, meta, rtol=0, atol=1e-5)


def draw_noise(site: int, round_index: int) -> Episode:
    return small_episodes(sites=1, seed=100 * round_index + site)
