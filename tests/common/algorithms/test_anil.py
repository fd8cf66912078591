from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from common.adaptation import adapt
from common.algorithms.anil import ANIL, head_of
from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.episodes import Rows
from common.models import initialize, perceptron
from common.parameters import Params
from tests.common.algorithms.gradients import assert_is_gradient, plain_query_loss

Build = Callable[..., Any]


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_every_coordinate_agrees_with_finite_differences(
    make_problem: Build,
    activation: type[nn.Module],
    steps: int,
) -> None:
    # The reference moves only what has a rate: the last layer.
    p = make_problem(activation)
    rates = {"2.weight": 0.1, "2.bias": 0.1}
    assert_is_gradient(
        update(ANIL, p.loss, p.theta, p.episodes, InnerSettings(inner_steps=steps)),
        lambda theta: plain_query_loss(p.loss, theta, p.episodes, rates, steps).item(),
        p.theta,
    )


def test_the_head_is_the_last_layer() -> None:
    _, theta = initialize(lambda: perceptron(3), 0)
    assert head_of(theta) == {"2.weight", "2.bias"}


def test_the_head_of_nested_modules_is_the_innermost_last_one() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    assert head_of(dict(model.named_parameters())) == {"1.1.weight", "1.1.bias"}


def test_parameters_without_a_module_are_all_of_the_head() -> None:
    assert head_of({"w": torch.ones(1), "b": torch.ones(1)}) == {"w", "b"}


def test_adaptation_leaves_the_body_as_it_is(make_problem: Build) -> None:
    p = make_problem()
    rates = ANIL.rates(p.theta, InnerSettings(inner_lr=0.3))
    support = Rows(*(part[0] for part in p.episodes.support))
    phi = adapt(p.loss, p.theta, support, rates, steps=5)
    changed = {name for name in phi if not torch.equal(phi[name], p.theta[name])}
    assert changed == {"2.weight", "2.bias"}


def test_the_body_is_learned_all_the_same(make_problem: Build) -> None:
    p = make_problem()
    learned = update(ANIL, p.loss, p.theta, p.episodes, InnerSettings(inner_steps=5))
    assert all(u.abs().max() > 1e-3 for u in learned.values())


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_head_of_all_parameters_gives_maml(
    make_problem: Build, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    def everything(theta: Params) -> set[str]:
        return set(theta)

    monkeypatch.setattr("common.algorithms.anil.head_of", everything)
    p, settings = make_problem(), InnerSettings(inner_lr=0.3, inner_steps=steps)
    ours, maml = (update(a, p.loss, p.theta, p.episodes, settings) for a in (ANIL, MAML))
    torch.testing.assert_close(ours, maml, rtol=0, atol=1e-12)
