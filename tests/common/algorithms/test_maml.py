"""The exact meta-gradient, against every independent source there is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import higher
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, jvp
from torch.nn import functional

from common.adaptation import adapt, constant_rates
from common.algorithms.base import InnerSettings, episode_updates, update
from common.algorithms.maml import FOMAML, MAML
from common.episodes import Episode, Rows
from common.models import Loss, initialize, perceptron, weighted_loss
from common.parameters import Params, flatten
from tests.common.algorithms.gradients import (
    assert_is_gradient,
    each_episode,
    plain_maml,
    plain_query_loss,
)

Build = Callable[..., Any]


def cosine(one: Params, other: Params) -> float:
    return float(torch.cosine_similarity(flatten(one), flatten(other), dim=0))


def support_gradient(loss: Loss, support: Rows, at: Params) -> Params:
    return grad(loss)(at, *support)  # type: ignore[no-any-return]


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_every_coordinate_agrees_with_finite_differences(
    make_problem: Build,
    activation: type[nn.Module],
    steps: int,
) -> None:
    p = make_problem(activation)
    settings = InnerSettings(inner_lr=0.1, inner_steps=steps)
    rates = dict.fromkeys(p.theta, 0.1)
    assert_is_gradient(
        update(MAML, p.loss, p.theta, p.episodes, settings),
        lambda theta: plain_query_loss(p.loss, theta, p.episodes, rates, steps).item(),
        p.theta,
    )


def test_a_five_way_task_on_a_convolutional_net_agrees_with_finite_differences() -> None:
    # 5-way: one image of each class in the support, two in the query; 4 x 4 pixels, one channel.
    model, theta = initialize(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 2), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 5)
        ).double(),
        0,
    )
    draw = torch.Generator().manual_seed(0)

    def images(shots: int) -> Rows:
        x = torch.randn(2, 5 * shots, 1, 4, 4, dtype=torch.float64, generator=draw)
        y = torch.arange(5).tile(2, shots)
        return Rows(x, y, torch.ones(2, 5 * shots, dtype=torch.float64))

    episodes, loss = Episode(images(1), images(2)), weighted_loss(model)
    assert_is_gradient(
        update(MAML, loss, theta, episodes, InnerSettings(inner_lr=0.4, inner_steps=3)),
        lambda at: plain_query_loss(loss, at, episodes, dict.fromkeys(at, 0.4), 3).item(),
        theta,
    )


def test_the_reference_model_agrees_with_higher(make_problem: Build) -> None:
    """`higher` 0.2.1 (Grefenstette et al. 2019) makes torch's own SGD differentiable."""
    p = make_problem(episodes=4, features=13, padded=False)
    model, theta = initialize(lambda: perceptron(13).double(), 0)
    for support, query in each_episode(p.episodes):
        inner = torch.optim.SGD(model.parameters(), lr=0.3)
        with higher.innerloop_ctx(
            model, inner, copy_initial_weights=False, track_higher_grads=True
        ) as (fast, differentiable):
            for _ in range(5):
                differentiable.step(functional.cross_entropy(fast(support.x), support.y))
            torch.autograd.backward(functional.cross_entropy(fast(query.x), query.y) / 4)
    settings = InnerSettings(inner_lr=0.3, inner_steps=5)
    ours = update(MAML, weighted_loss(model), theta, p.episodes, settings)
    expected = {name: value.grad for name, value in model.named_parameters()}
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_one_step_is_the_query_gradient_less_a_hessian_vector_product(
    make_problem: Build, activation: type[nn.Module]
) -> None:
    """K = 1: g = (I - a H_S(theta)) v with v = grad L_Q(phi), H v by forward over reverse."""
    p, a = make_problem(activation), 0.3
    ours = episode_updates(MAML, p.loss, p.theta, p.episodes, InnerSettings(inner_lr=a))
    for e, (support, query) in enumerate(each_episode(p.episodes)):
        slope = grad(p.loss)(p.theta, *support)
        phi = {name: value - a * slope[name] for name, value in p.theta.items()}
        v = grad(p.loss)(phi, *query)
        hv = jvp(partial(support_gradient, p.loss, support), (p.theta,), (v,))[1]
        expected = {name: v[name] - a * hv[name] for name in v}
        mine = {name: value[e] for name, value in ours.items()}
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_vectorized_episodes_equal_a_plain_loop(
    make_problem: Build,
    activation: type[nn.Module],
    steps: int,
) -> None:
    p = make_problem(activation)
    settings = InnerSettings(inner_lr=0.3, inner_steps=steps)
    ours = update(MAML, p.loss, p.theta, p.episodes, settings)
    expected = plain_maml(p.loss, p.theta, p.episodes, 0.3, steps)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_in_single_precision_the_plain_loop_agrees_to_1e_5(make_problem: Build) -> None:
    p = make_problem()
    theta = {name: value.float() for name, value in p.theta.items()}
    episodes = Episode(*(Rows(s.x.float(), s.y, s.weight.float()) for s in p.episodes))
    settings = InnerSettings(inner_lr=0.3, inner_steps=5)
    ours = update(MAML, p.loss, theta, episodes, settings)
    expected = plain_maml(p.loss, theta, episodes, 0.3, 5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_first_order_is_the_query_gradient_at_phi_and_differs_from_the_exact_one(
    make_problem: Build, activation: type[nn.Module], steps: int
) -> None:
    p = make_problem(activation)
    settings = InnerSettings(inner_lr=0.5, inner_steps=steps)
    first_order = episode_updates(FOMAML, p.loss, p.theta, p.episodes, settings)
    for e, (support, query) in enumerate(each_episode(p.episodes)):
        phi = adapt(p.loss, p.theta, support, constant_rates(p.theta, 0.5), steps=steps)
        mine = {name: value[e] for name, value in first_order.items()}
        torch.testing.assert_close(mine, grad(p.loss)(phi, *query), rtol=0, atol=1e-12)
    exact = update(MAML, p.loss, p.theta, p.episodes, settings)
    assert cosine(exact, update(FOMAML, p.loss, p.theta, p.episodes, settings)) < 0.999


@pytest.mark.parametrize("algorithm", [MAML, FOMAML], ids=["maml", "fomaml"])
@pytest.mark.parametrize(
    "settings",
    [InnerSettings(inner_steps=0), InnerSettings(inner_lr=0.0, inner_steps=5)],
    ids=["no step", "rate 0"],
)
def test_without_adaptation_the_update_is_the_query_gradient_at_theta(
    make_problem: Build, algorithm: Any, settings: InnerSettings
) -> None:
    p = make_problem()
    ours = episode_updates(algorithm, p.loss, p.theta, p.episodes, settings)
    for e, (_, query) in enumerate(each_episode(p.episodes)):
        mine = {name: value[e] for name, value in ours.items()}
        torch.testing.assert_close(mine, grad(p.loss)(p.theta, *query), rtol=0, atol=1e-12)


def test_a_parabola_gives_the_gradient_computed_by_hand() -> None:
    # L_S = c/2 w^2 and L_Q = d/2 (w - 1)^2 with c = 2, d = 3, w = 5, a = .1, K = 2:
    # phi = .8^2 * 5 = 3.2; dL_Q/dw = .8^2 * 3 * (3.2 - 1) = 4.224; first order: 3 * 2.2 = 6.6.
    def loss(params: Params, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return (weight * x[:, 0] / 2 * (params["w"] - y) ** 2).sum() / weight.sum()

    one = torch.ones(1, 1)
    episodes = Episode(Rows(2 * one[None], 0 * one, one), Rows(3 * one[None], one, one))
    theta, settings = {"w": torch.tensor(5.0)}, InnerSettings(inner_lr=0.1, inner_steps=2)
    assert update(MAML, loss, theta, episodes, settings)["w"].item() == pytest.approx(4.224)
    assert update(FOMAML, loss, theta, episodes, settings)["w"].item() == pytest.approx(6.6)
