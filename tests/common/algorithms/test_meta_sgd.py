from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import grad

from common.adaptation import adapt
from common.algorithms.base import RATE, InnerSettings, episode_updates, theta_of, update
from common.algorithms.maml import MAML
from common.algorithms.meta_sgd import META_SGD
from common.episodes import Rows
from common.parameters import Params
from tests.common.algorithms.gradients import assert_is_gradient, each_episode, plain_query_loss

Build = Callable[..., Any]


def with_uneven_rates(theta: Params) -> Params:
    """Return meta with a different rate for every entry, between .02 and .3."""
    draw = torch.Generator().manual_seed(0)
    return theta | {
        RATE + name: 0.02 + 0.28 * torch.rand(p.shape, dtype=p.dtype, generator=draw)
        for name, p in theta.items()
    }


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_every_coordinate_of_theta_and_of_the_rates_agrees_with_finite_differences(
    make_problem: Build,
    activation: type[nn.Module],
    steps: int,
) -> None:
    p = make_problem(activation)
    meta = with_uneven_rates(p.theta)

    def objective(at: Params) -> float:
        rates = {name: at[RATE + name] for name in p.theta}
        return plain_query_loss(p.loss, theta_of(at), p.episodes, rates, steps).item()

    learned = update(META_SGD, p.loss, meta, p.episodes, InnerSettings(inner_steps=steps))
    assert_is_gradient(learned, objective, meta)


def test_after_one_step_the_rates_gradient_is_minus_query_times_support_gradient(
    make_problem: Build,
) -> None:
    p = make_problem()
    meta = with_uneven_rates(p.theta)
    ours = episode_updates(META_SGD, p.loss, meta, p.episodes, InnerSettings(inner_steps=1))
    for e, (support, query) in enumerate(each_episode(p.episodes)):
        slope = grad(p.loss)(p.theta, *support)
        phi = {name: value - meta[RATE + name] * slope[name] for name, value in p.theta.items()}
        at_phi = grad(p.loss)(phi, *query)
        mine = {name: ours[RATE + name][e] for name in p.theta}
        expected = {name: -at_phi[name] * slope[name] for name in p.theta}
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_with_equal_rates_the_gradient_of_theta_is_that_of_maml(
    make_problem: Build, steps: int
) -> None:
    p, settings = make_problem(), InnerSettings(inner_lr=0.3, inner_steps=steps)
    meta = META_SGD.initial(p.theta, settings)
    ours = theta_of(update(META_SGD, p.loss, meta, p.episodes, settings))
    maml = update(MAML, p.loss, p.theta, p.episodes, settings)
    torch.testing.assert_close(ours, maml, rtol=0, atol=1e-12)


def test_without_steps_the_rates_have_no_gradient(make_problem: Build) -> None:
    p, settings = make_problem(), InnerSettings(inner_steps=0)
    meta = META_SGD.initial(p.theta, settings)
    learned = update(META_SGD, p.loss, meta, p.episodes, settings)
    assert not any(learned[RATE + name].any() for name in p.theta)


def test_rates_start_at_the_inner_rate_and_are_shaped_like_theta(make_problem: Build) -> None:
    theta = make_problem().theta
    meta = META_SGD.initial(theta, InnerSettings(inner_lr=0.2))
    assert list(meta) == [*theta, *(RATE + name for name in theta)]
    for name, value in theta.items():
        assert torch.equal(meta[name], value)
        assert torch.equal(meta[RATE + name], torch.full_like(value, 0.2))


def test_adaptation_in_use_takes_the_learned_rates_and_not_the_setting(make_problem: Build) -> None:
    p = make_problem()
    meta = with_uneven_rates(p.theta)
    support = Rows(*(part[0] for part in p.episodes.support))
    rates = META_SGD.rates(meta, InnerSettings(inner_lr=99.0))
    phi = adapt(p.loss, theta_of(meta), support, rates, steps=1)
    slope = grad(p.loss)(p.theta, *support)
    expected = {name: p.theta[name] - meta[RATE + name] * slope[name] for name in p.theta}
    torch.testing.assert_close(phi, expected, rtol=0, atol=1e-12)
