from collections.abc import Callable
from typing import Any

import torch
from torch.func import grad

from common.algorithms.base import InnerSettings, episode_updates, update
from common.algorithms.fedavg import FEDAVG
from common.algorithms.reptile import REPTILE
from tests.common.algorithms.gradients import each_episode
from tests.common.by_torch import sgd, whole

Build = Callable[..., Any]


def test_theta_less_the_update_is_phi_by_torchs_own_sgd_on_the_whole_episode(
    make_problem: Build,
) -> None:
    """Epsilon = 1: a server step of 1 lands on phi_K (the mean of them over episodes)."""
    p, settings = make_problem(padded=False), InnerSettings(inner_lr=0.3, inner_steps=5)
    ours = episode_updates(REPTILE, p.loss, p.theta, p.episodes, settings)
    for e, episode in enumerate(each_episode(p.episodes)):
        landed = {name: p.theta[name] - u[e] for name, u in ours.items()}
        phi = sgd(p, [whole(episode)], lr=0.3, epochs=5)
        torch.testing.assert_close(landed, phi, rtol=0, atol=1e-12)


def test_one_step_divided_by_the_inner_rate_is_the_gradient_on_the_whole_episode(
    make_problem: Build,
) -> None:
    p, settings = make_problem(), InnerSettings(inner_lr=0.3, inner_steps=1)
    ours = episode_updates(REPTILE, p.loss, p.theta, p.episodes, settings)
    for e, episode in enumerate(each_episode(p.episodes)):
        mine = {name: u[e] / 0.3 for name, u in ours.items()}
        expected = grad(p.loss)(p.theta, *whole(episode))
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)


def test_with_one_episode_it_is_fedavg_with_a_pass_for_each_step(make_problem: Build) -> None:
    p = make_problem(episodes=1)
    reptile = InnerSettings(inner_lr=0.3, inner_steps=5)
    fedavg = InnerSettings(inner_lr=0.3, options={"epochs": 5})
    torch.testing.assert_close(
        update(REPTILE, p.loss, p.theta, p.episodes, reptile),
        update(FEDAVG, p.loss, p.theta, p.episodes, fedavg),
        rtol=0,
        atol=1e-12,
    )


def test_without_steps_there_is_nothing_to_learn(make_problem: Build) -> None:
    p = make_problem()
    nothing = update(REPTILE, p.loss, p.theta, p.episodes, InnerSettings(inner_steps=0))
    assert not any(u.any() for u in nothing.values())


def test_the_server_takes_epsilon_as_a_plain_step() -> None:
    assert (REPTILE.optimizer, REPTILE.meta_lr) == ("sgd", 1.0)
