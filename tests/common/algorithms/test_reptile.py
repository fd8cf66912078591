from collections.abc import Callable
from typing import Any

import torch
from torch.func import grad
from torch.nn import functional

from common.algorithms.base import InnerSettings, episode_updates, update
from common.algorithms.fedavg import FEDAVG
from common.algorithms.reptile import REPTILE
from common.episodes import Episode, Rows

Build = Callable[..., Any]
Each = Callable[[Episode], list[Episode]]


def whole(episode: Episode) -> Rows:
    return Rows(*(torch.cat(pair) for pair in zip(*episode, strict=True)))


def test_theta_less_the_update_is_phi_by_torchs_own_sgd_on_the_whole_episode(
    make_problem: Build, each_episode: Each
) -> None:
    """Epsilon = 1: a server step of 1 lands on phi_K (the mean of them over episodes)."""
    p, settings = make_problem(padded=False), InnerSettings(inner_lr=0.3, inner_steps=5)
    ours = episode_updates(REPTILE, p.loss, p.theta, p.episodes, settings)
    for e, episode in enumerate(each_episode(p.episodes)):
        rows = whole(episode)
        p.model.load_state_dict(p.theta)
        sgd = torch.optim.SGD(p.model.parameters(), lr=0.3)
        for _ in range(5):
            sgd.zero_grad()
            torch.autograd.backward(functional.cross_entropy(p.model(rows.x), rows.y))
            sgd.step()
        landed = {name: p.theta[name] - u[e] for name, u in ours.items()}
        phi = {name: value.detach() for name, value in p.model.named_parameters()}
        torch.testing.assert_close(landed, phi, rtol=0, atol=1e-12)


def test_one_step_divided_by_the_inner_rate_is_the_gradient_on_the_whole_episode(
    make_problem: Build, each_episode: Each
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
