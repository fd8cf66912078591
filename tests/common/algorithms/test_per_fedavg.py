from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import FOMAML, MAML
from common.algorithms.per_fedavg import PER_FEDAVG
from common.episodes import Episode, Rows
from common.models import Loss
from common.parameters import Params
from tests.common.algorithms.gradients import each_episode

Build = Callable[..., Any]


def settings_of(*, a: float, b: float, second_order: int) -> InnerSettings:
    return InnerSettings(inner_lr=a, options={"local_lr": b, "second_order": second_order})


def parabola(params: Params, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """L(w) = c/2 * w^2 with c = x: gradient c * w, Hessian c."""
    return (weight * x[:, 0] / 2 * params["w"] ** 2).sum() / weight.sum()


def parabolas(support: list[float], query: list[float]) -> Episode:
    """Return one episode for each pair of curvatures."""

    def rows(c: list[float]) -> Rows:
        ones = torch.ones(len(c), 1, dtype=torch.float64)
        return Rows(torch.tensor(c, dtype=torch.float64).reshape(-1, 1, 1), ones, ones)

    return Episode(rows(support), rows(query))


@pytest.mark.parametrize(("second_order", "expected"), [(1, 0.356352), (0, 0.5424)])
def test_two_local_steps_on_parabolas_are_those_computed_by_hand(
    second_order: int, expected: float
) -> None:
    # D = 2, D' = 3, then D = 4, D' = 1; D'' is the other episode's support; w = 1, a = .1, b = .2.
    # u = (1 - .1*2) 1 = .8; v = 3 * .8 = 2.4; w = 1 - .2 (2.4 - .1*4*2.4) = 1 - .2*1.44 = .712
    # u = (1 - .1*4) .712 = .4272; v = .4272; w = .712 - .2 (.4272 - .1*2*.4272) = .643648
    # theta - w = .356352. First order: w = 1 - .2*2.4 = .52; u = v = (1 - .1*4) .52 = .312;
    # w = .52 - .2*.312 = .4576; theta - w = .5424.
    settings = settings_of(a=0.1, b=0.2, second_order=second_order)
    theta = {"w": torch.tensor(1.0, dtype=torch.float64)}
    ours = update(PER_FEDAVG, parabola, theta, parabolas([2.0, 4.0], [3.0, 1.0]), settings)
    assert ours["w"].item() == pytest.approx(expected, abs=1e-12)


def plain_local_training(
    loss: Loss, theta: Params, episodes: list[Episode], *, a: float, b: float, second_order: bool
) -> Params:
    """Return theta - w by Algorithm 1 with `torch.autograd`: H v as the gradient of <grad L, v>."""
    w = {name: p.clone().requires_grad_() for name, p in theta.items()}
    for i, (support, query) in enumerate(episodes):
        third = episodes[(i + 1) % len(episodes)].support
        slope = torch.autograd.grad(loss(w, *support), list(w.values()))
        u = {n: (p - a * g).detach() for (n, p), g in zip(w.items(), slope, strict=True)}
        for p in u.values():
            p.requires_grad_()
        v = torch.autograd.grad(loss(u, *query), list(u.values()))
        slope = torch.autograd.grad(loss(w, *third), list(w.values()), create_graph=True)
        along = torch.stack([(g * d).sum() for g, d in zip(slope, v, strict=True)]).sum()
        hv = torch.autograd.grad(along, list(w.values()))
        factor = a if second_order else 0.0
        w = {
            name: (p - b * (d - factor * h)).detach().requires_grad_()
            for (name, p), d, h in zip(w.items(), v, hv, strict=True)
        }
    return {name: theta[name] - p.detach() for name, p in w.items()}


@pytest.mark.parametrize("second_order", [0, 1])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_local_training_equals_a_plain_loop_of_double_backward(
    make_problem: Build, activation: type[nn.Module], second_order: int
) -> None:
    p = make_problem(activation, episodes=3)
    settings = settings_of(a=0.3, b=0.2, second_order=second_order)
    ours = update(PER_FEDAVG, p.loss, p.theta, p.episodes, settings)
    expected = plain_local_training(
        p.loss,
        p.theta,
        each_episode(p.episodes),
        a=0.3,
        b=0.2,
        second_order=bool(second_order),
    )
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("second_order", "algorithm"), [(1, MAML), (0, FOMAML)])
def test_with_one_episode_a_local_step_is_one_step_of_maml(
    make_problem: Build, second_order: int, algorithm: Any
) -> None:
    """D'' is D then, so v - a H v is MAML's gradient for K = 1, and v is FOMAML's."""
    p = make_problem(episodes=1)
    settings = settings_of(a=0.3, b=0.2, second_order=second_order)
    ours = update(PER_FEDAVG, p.loss, p.theta, p.episodes, settings)
    maml = update(algorithm, p.loss, p.theta, p.episodes, InnerSettings(inner_lr=0.3))
    torch.testing.assert_close(
        {name: u / 0.2 for name, u in ours.items()}, maml, rtol=0, atol=1e-12
    )


def test_the_hessian_term_makes_a_difference(make_problem: Build) -> None:
    p = make_problem()
    exact, first_order = (
        update(PER_FEDAVG, p.loss, p.theta, p.episodes, settings_of(a=0.5, b=0.2, second_order=s))
        for s in (1, 0)
    )
    assert max((exact[n] - first_order[n]).abs().max().item() for n in exact) > 1e-3


def test_a_local_rate_of_zero_stays_at_theta(make_problem: Build) -> None:
    p = make_problem()
    settings = settings_of(a=0.3, b=0.0, second_order=1)
    nothing = update(PER_FEDAVG, p.loss, p.theta, p.episodes, settings)
    assert not any(u.any() for u in nothing.values())


def test_the_defaults_are_inside_their_ranges_and_exact() -> None:
    options = PER_FEDAVG.options
    assert all(option.low <= option.default <= option.high for option in options.values())
    assert options["second_order"].default == 1
    assert (PER_FEDAVG.optimizer, PER_FEDAVG.meta_lr) == ("sgd", 1.0)
