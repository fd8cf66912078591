import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, jvp
from torch.nn import functional

from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.models import cross_entropy, initialize, perceptron, squared_error, weighted_loss
from common.parameters import Params


def test_the_reference_model_is_inputs_hidden_relu_outputs() -> None:
    model = perceptron(13)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes == [(64, 13), (64,), (2, 64), (2,)]
    assert [type(m) for m in model.children()] == [nn.Linear, nn.ReLU, nn.Linear]
    assert model(torch.zeros(5, 13)).shape == (5, 2)


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others() -> None:
    _, one = initialize(lambda: perceptron(3), 4)
    _, same = initialize(lambda: perceptron(3), 4)
    _, other = initialize(lambda: perceptron(3), 5)
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_initialization_leaves_the_global_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    initialize(lambda: perceptron(3), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_parameters_are_copies_without_a_graph() -> None:
    model, theta = initialize(lambda: perceptron(3), 0)
    assert list(theta) == [name for name, _ in model.named_parameters()]
    assert not any(p.requires_grad for p in theta.values())
    before = theta["0.weight"].clone()
    with torch.no_grad():
        model.get_parameter("0.weight").zero_()
    assert torch.equal(theta["0.weight"], before)


def test_cross_entropy_of_two_equal_logits_is_log_2() -> None:
    losses = cross_entropy(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    assert losses.tolist() == pytest.approx([math.log(2)] * 3)


def test_cross_entropy_is_minus_the_log_of_the_softmax() -> None:
    # softmax((0, log 3)) = (1/4, 3/4)
    logits = torch.tensor([[0.0, math.log(3)]] * 2)
    expected = [-math.log(1 / 4), -math.log(3 / 4)]
    assert cross_entropy(logits, torch.tensor([0, 1])).tolist() == pytest.approx(expected)


def test_squared_error_is_summed_over_outputs() -> None:
    # (1-0)^2 + (3-1)^2 = 5; (0-0)^2 + (2-2)^2 = 0
    output, y = torch.tensor([[1.0, 3.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 2.0]])
    assert squared_error(output, y).tolist() == [5.0, 0.0]


def test_the_loss_is_the_weighted_mean_over_rows() -> None:
    # The model is the identity, so the row losses are 1, 4 and 9: (1*1 + 2*4 + 1*9) / 4 = 4.5.
    model = nn.Linear(1, 1, bias=False)
    x = torch.tensor([[1.0], [2.0], [3.0]])
    loss = weighted_loss(model, squared_error)
    params = {"weight": torch.ones(1, 1)}
    assert loss(params, x, torch.zeros(3, 1), torch.tensor([1.0, 2.0, 1.0])).item() == 4.5


def test_without_padding_the_loss_is_torchs_own_mean_cross_entropy() -> None:
    model, theta = initialize(lambda: perceptron(3), 0)
    x, y = torch.randn(7, 3), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    ours = weighted_loss(model)(theta, x, y, torch.ones(7))
    torch.testing.assert_close(ours, functional.cross_entropy(model(x), y))


def test_padding_changes_neither_the_loss_nor_its_first_two_derivatives() -> None:
    model, theta = initialize(lambda: perceptron(3), 0)
    theta = {name: p.double() for name, p in theta.items()}
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])
    weight = torch.ones(5, dtype=torch.float64)
    garbage = torch.tensor([[1e3, -1e3, 7.0]] * 4, dtype=torch.float64)
    longer = (
        torch.cat([x, garbage]),
        torch.cat([y, torch.tensor([0, 1, 0, 1])]),
        torch.cat([weight, torch.zeros(4, dtype=torch.float64)]),
    )
    loss = weighted_loss(model)
    direction = {name: torch.ones_like(p) for name, p in theta.items()}

    def values(rows: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Params, Params]:
        gradient, curvature = jvp(lambda t: grad(loss)(t, *rows), (theta,), (direction,))[:2]
        return loss(theta, *rows), gradient, curvature

    torch.testing.assert_close(values(longer), values((x, y, weight)), rtol=0, atol=1e-12)


def test_the_loss_depends_on_the_given_parameters_and_not_on_the_models_own() -> None:
    model, theta = initialize(lambda: perceptron(3), 0)
    rows = (torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1]), torch.ones(5))
    loss = weighted_loss(model)
    before = loss(theta, *rows)
    own = {name: p.clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert torch.equal(loss(theta, *rows), before)
    zeros = {name: torch.zeros_like(p) for name, p in own.items()}
    assert loss(zeros, *rows).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [(lambda: nn.Dropout(0.5), "randomness"), (lambda: nn.BatchNorm1d(4), "in-place")],
)
def test_layers_that_vmap_cannot_carry_are_refused_by_torch(
    layer: Callable[[], nn.Module], reason: str, make_problem: Callable[..., Any]
) -> None:
    p = make_problem()
    model, theta = initialize(
        lambda: nn.Sequential(nn.Linear(3, 4), layer(), nn.Linear(4, 2)).double(), 0
    )
    with pytest.raises(RuntimeError, match=reason):
        update(MAML, weighted_loss(model), theta, p.episodes, InnerSettings())
