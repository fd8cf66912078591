from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad

from common.adaptation import adapt, constant_rates, inner_step
from common.episodes import Rows
from common.parameters import Params
from tests.common.by_torch import sgd


def parabola(params: Params, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """L(w) = c/2 * ||w||^2 with c = x: its gradient is c * w, its Hessian c."""
    return x[0] / 2 * sum((p.square().sum() for p in params.values()), start=torch.zeros(()))


def curvature(c: float) -> Rows:
    return Rows(torch.tensor([c]), torch.zeros(1), torch.ones(1))


def test_no_step_gives_theta_back() -> None:
    theta = {"w": torch.tensor([1.0, -2.0])}
    phi = adapt(parabola, theta, curvature(2.0), constant_rates(theta, 0.1), steps=0)
    torch.testing.assert_close(phi, theta, rtol=0, atol=0)


def test_a_rate_of_zero_gives_theta_back() -> None:
    theta = {"w": torch.tensor([1.0, -2.0])}
    phi = adapt(parabola, theta, curvature(2.0), constant_rates(theta, 0.0), steps=3)
    torch.testing.assert_close(phi, theta, rtol=0, atol=0)


def test_each_step_moves_against_the_gradient_of_where_it_stands() -> None:
    # c = 2, a = .1: every step multiplies w by 1 - .1 * 2 = .8, so three steps by .512.
    theta = {"w": torch.tensor([1.0, -2.0]), "b": torch.tensor(4.0)}
    phi = adapt(parabola, theta, curvature(2.0), constant_rates(theta, 0.1), steps=3)
    expected = {"w": torch.tensor([0.512, -1.024]), "b": torch.tensor(2.048)}
    torch.testing.assert_close(phi, expected)


def test_every_parameter_has_its_own_rate() -> None:
    # c = 2: w <- (1 - 2a) w with a = .1 and .25 within one tensor, 0 for the other.
    theta = {"w": torch.tensor([1.0, 1.0]), "b": torch.tensor(4.0)}
    rates = {"w": torch.tensor([0.1, 0.25]), "b": torch.tensor(0.0)}
    phi = inner_step(parabola, theta, curvature(2.0), rates, second_order=False)
    torch.testing.assert_close(phi, {"w": torch.tensor([0.8, 0.5]), "b": torch.tensor(4.0)})


@pytest.mark.parametrize("second_order", [True, False])
def test_steps_equal_those_of_torchs_own_sgd(
    make_problem: Callable[..., Any], second_order: bool
) -> None:
    p = make_problem(padded=False)
    rows = Rows(*(part[0] for part in p.episodes.support))
    rates = constant_rates(p.theta, 0.3)
    phi = adapt(p.loss, p.theta, rows, rates, steps=5, second_order=second_order)
    expected = sgd(p, [rows], lr=0.3, epochs=5)
    torch.testing.assert_close(phi, expected, rtol=0, atol=1e-12)


def test_theta_itself_is_left_as_it_was() -> None:
    theta = {"w": torch.tensor([1.0, -2.0])}
    adapt(parabola, theta, curvature(2.0), constant_rates(theta, 0.1), steps=3)
    assert theta["w"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("second_order", "slope"), [(True, 0.8**3), (False, 1.0)])
def test_a_step_is_differentiable_with_respect_to_theta_only_in_second_order(
    second_order: bool, slope: float
) -> None:
    # phi = .8^3 theta; where each inner gradient counts as a constant, d phi / d theta is 1.
    def adapted(w: Tensor) -> Tensor:
        theta = {"w": w}
        rates = constant_rates(theta, 0.1)
        phi = adapt(parabola, theta, curvature(2.0), rates, steps=3, second_order=second_order)
        return phi["w"]

    assert grad(adapted)(torch.tensor(5.0)).item() == pytest.approx(slope)


@pytest.mark.parametrize(
    ("second_order", "slope"),
    [
        (True, -2 * 2 * 2.0 * (1 - 0.1 * 2)),  # phi = w (1 - 2a)^2: d phi / da = -2 * 2 w (1 - 2a)
        (False, -2 * 2.0 * (1 + 0.8)),  # -(g_0 + g_1), g_j = 2 phi_j held constant
    ],
)
def test_a_step_is_differentiable_with_respect_to_the_rates(
    second_order: bool, slope: float
) -> None:
    def adapted(rate: Tensor) -> Tensor:
        theta = {"w": torch.tensor(2.0)}
        rates = {"w": rate}
        phi = adapt(parabola, theta, curvature(2.0), rates, steps=2, second_order=second_order)
        return phi["w"]

    assert grad(adapted)(torch.tensor(0.1)).item() == pytest.approx(slope)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_rates_stand_beside_theta_in_its_precision(dtype: torch.dtype) -> None:
    rates = constant_rates({"w": torch.ones(2, 3, dtype=dtype), "b": torch.ones(3)}, 0.1)
    assert list(rates) == ["w", "b"]
    assert rates["w"].dtype == dtype
    assert rates["w"].shape == ()
    assert rates["w"].item() == pytest.approx(0.1)
