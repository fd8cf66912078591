from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from common.algorithms.base import InnerSettings, update
from common.algorithms.maml import MAML
from common.algorithms.multi_step import MULTI_STEP, step_weights
from tests.common.algorithms.gradients import assert_is_gradient, plain_query_loss

Build = Callable[..., Any]


def authors_schedule(steps: int, epoch: int, epochs: int) -> list[float]:
    """Return v_1 .. v_K as Antoniou et al.'s code anneals them over `epochs` epochs."""
    k, decay = steps, 1 / (steps * epochs)
    early = [max(1 / k - epoch * decay, 0.03 / k)] * (k - 1)
    return [*early, min(1 / k + epoch * (k - 1) * decay, 1 - (k - 1) * 0.03 / k)]


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_every_coordinate_agrees_with_finite_differences(
    make_problem: Build,
    activation: type[nn.Module],
    steps: int,
    progress: float,
) -> None:
    p = make_problem(activation)
    settings = InnerSettings(inner_lr=0.1, inner_steps=steps, progress=progress)
    rates, v = dict.fromkeys(p.theta, 0.1), authors_schedule(steps, int(4 * progress), 4)
    assert_is_gradient(
        update(MULTI_STEP, p.loss, p.theta, p.episodes, settings),
        lambda theta: plain_query_loss(p.loss, theta, p.episodes, rates, steps, v).item(),
        p.theta,
    )


@given(st.integers(1, 10), st.integers(1, 200), st.data())
def test_the_weights_follow_the_authors_schedule(
    steps: int, epochs: int, data: st.DataObject
) -> None:
    epoch = data.draw(st.integers(0, epochs))
    expected = authors_schedule(steps, epoch, epochs)
    assert step_weights(steps, epoch / epochs) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 10), st.floats(0, 1))
def test_the_weights_sum_to_one_and_none_vanishes(steps: int, progress: float) -> None:
    weights = step_weights(steps, progress)
    assert len(weights) == steps
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert min(weights) >= 0.03 / steps - 1e-12


def test_at_the_start_every_step_counts_alike_and_at_the_end_nearly_the_last_alone() -> None:
    assert step_weights(4, 0.0) == pytest.approx([0.25] * 4)
    # .03 / 4 for each early step, 1 - 3 * .0075 = .9775 for the last.
    assert step_weights(4, 1.0) == pytest.approx([0.0075, 0.0075, 0.0075, 0.9775])


def test_with_all_weight_on_the_last_step_it_is_maml(
    make_problem: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_only(steps: int, progress: float) -> list[float]:
        return [0.0] * (steps - 1) + [1.0]

    monkeypatch.setattr("common.algorithms.multi_step.step_weights", last_only)
    p, settings = make_problem(), InnerSettings(inner_lr=0.3, inner_steps=5)
    ours, maml = (update(a, p.loss, p.theta, p.episodes, settings) for a in (MULTI_STEP, MAML))
    torch.testing.assert_close(ours, maml, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1])
def test_with_no_step_or_one_it_is_maml(make_problem: Build, steps: int) -> None:
    p, settings = make_problem(), InnerSettings(inner_lr=0.3, inner_steps=steps, progress=0.5)
    ours, maml = (update(a, p.loss, p.theta, p.episodes, settings) for a in (MULTI_STEP, MAML))
    torch.testing.assert_close(ours, maml, rtol=0, atol=1e-12)
