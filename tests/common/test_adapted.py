"""Adaptation in closed form against the generic path and a loop of torch's own optimizer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common import adapted
from common.adaptation import adapt, constant_rates
from common.adapted import adapted_probabilities, is_reference
from common.episodes import Rows
from common.models import initialize, perceptron, weighted_loss
from common.parameters import Params
from common.randomness import generator

SCALES, STEPS = (0.3, 1.0, 3.0), (1, 2, 5)


class Case:
    """A reference network with random supports and rows to predict; seeded by the sizes."""

    def __init__(
        self, inputs: int = 5, hidden: int = 8, classes: int = 2, *, k: int = 6, n: int = 9,
        draws: int = 3, dtype: torch.dtype = torch.float64,
    ) -> None:  # fmt: skip
        rng = generator("adapted", inputs, hidden, classes, k, n)
        model, theta = initialize(lambda: perceptron(inputs, hidden=hidden, outputs=classes), 1)
        self.model, self.theta = model.to(dtype), {m: p.to(dtype) for m, p in theta.items()}
        self.x = torch.from_numpy(rng.standard_normal((draws, k, inputs))).to(dtype)
        self.y = torch.from_numpy(rng.integers(0, classes, (draws, k)))
        self.rows = torch.from_numpy(rng.standard_normal((n, inputs))).to(dtype)

    def closed(self, lr: float, scales: Sequence[float], steps: Sequence[int]) -> Tensor:
        return adapted_probabilities(
            self.theta, self.x, self.y, self.rows, lr=lr, scales=scales, steps=steps
        )

    def generic(self, draw: int, rate: float, steps: int) -> Tensor:
        """One draw's [n, C] by the inner steps that every model and algorithm goes through."""
        loss, rates = weighted_loss(self.model), constant_rates(self.theta, rate)
        x, y = self.x[draw], self.y[draw]
        support = Rows(x, y, torch.ones(len(y), dtype=x.dtype))
        phi = adapt(loss, self.theta, support, rates, steps=steps)
        return self.predict(phi)

    def predict(self, params: Params) -> Tensor:
        logits: Tensor = torch.func.functional_call(self.model, params, (self.rows,))
        return logits.softmax(-1)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"k": 1, "n": 1, "draws": 1},
        {"hidden": 1, "inputs": 1},
        {"hidden": 17, "inputs": 3, "k": 21},
        {"classes": 5, "inputs": 7, "k": 13},
        {"hidden": 64, "inputs": 64, "k": 100, "n": 30, "draws": 2},
    ],
    ids=str,
)
def test_every_rate_step_and_draw_equals_the_generic_path(sizes: dict[str, Any]) -> None:
    case = Case(**sizes)
    found = case.closed(0.2, SCALES, STEPS)
    assert found.shape == (3, 3, len(case.x), len(case.rows), sizes.get("classes", 2))
    for i, scale in enumerate(SCALES):
        for t, steps in enumerate(STEPS):
            for d in range(len(case.x)):
                expected = case.generic(d, 0.2 * scale, steps)
                torch.testing.assert_close(found[i, t, d], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [5, 50])
def test_it_equals_the_generic_path_in_float32_to_1e_6(k: int) -> None:
    case = Case(32, 64, k=k, n=40, dtype=torch.float32)
    found = case.closed(0.1, (1.0,), (5,))
    for d in range(len(case.x)):
        torch.testing.assert_close(found[0, 0, d], case.generic(d, 0.1, 5), rtol=0, atol=1e-6)


def test_it_equals_a_loop_of_torchs_own_gradient_descent() -> None:
    case = Case(classes=5, k=10)
    found = case.closed(0.3, (1.0,), range(1, 8))
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 5)).double()
    model.load_state_dict(case.theta)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for step in range(7):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(case.x[1]), case.y[1]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        expected = model(case.rows).softmax(-1).detach()
        torch.testing.assert_close(found[0, step, 1], expected, rtol=0, atol=1e-12)


def test_one_step_of_one_unit_by_hand() -> None:
    # z = x = 1, o = w2 z + b2 = (0, 0), P - Y = (1/2, -1/2). A step of rate 1: w2 = (1/2, -1/2),
    # b2 = (-3/2, 3/2), dL/dz = 1/2 + 1/2 = 1, so w1 = 0 and b1 = -1: the unit is off at x = 1.
    # The logits there are b2, and P(y = 1) = 1 / (1 + e^-3).
    theta = {
        "0.weight": torch.tensor([[1.0]]),
        "0.bias": torch.tensor([0.0]),
        "2.weight": torch.tensor([[1.0], [-1.0]]),
        "2.bias": torch.tensor([-1.0, 1.0]),
    }
    one, label = torch.ones(1, 1, 1), torch.ones(1, 1, dtype=torch.int64)
    found = adapted_probabilities(theta, one, label, one[0], lr=1.0, scales=(1.0,), steps=(1,))
    assert found.flatten().tolist() == pytest.approx([1 / (1 + np.e**3), 1 / (1 + np.e**-3)])


def test_steps_may_come_in_any_order_and_none_is_theta_itself() -> None:
    case = Case()
    found, sorted_ = case.closed(0.2, SCALES, (5, 0, 2)), case.closed(0.2, SCALES, (0, 2, 5))
    assert torch.equal(found, sorted_[:, [2, 0, 1]])
    theta = case.predict(case.theta).expand(3, 3, -1, -1)
    torch.testing.assert_close(found[:, 1], theta, rtol=0, atol=1e-12)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_in_a_draw_come_through_and_stay_there(poison: float) -> None:
    case = Case()
    case.x[1, 0, 0] = poison
    finite = torch.isfinite(case.closed(0.2, (1.0,), (2,))[0, 0]).flatten(1)
    assert finite.all(dim=1).tolist() == [True, False, True]
    assert not finite[1].any()


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_nan_in_theta_comes_through(name: str) -> None:
    case = Case()
    case.theta[name].view(-1)[0] = float("nan")
    assert case.closed(0.2, (1.0,), (0, 1)).isnan().all()


def test_it_gives_the_same_numbers_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(k=3, n=2, draws=1)
    compiled = case.closed(0.2, (1.0,), (2,))
    function = getattr(adapted.adapted_logits, "py_func", adapted.adapted_logits)
    monkeypatch.setattr(adapted, "_compiled", lambda *_: function)
    monkeypatch.setattr(adapted, "constant", lambda value: value)
    torch.testing.assert_close(case.closed(0.2, (1.0,), (2,)), compiled, rtol=0, atol=1e-12)


def test_the_reference_network_is_known_by_its_parameters() -> None:
    theta = Case().theta
    assert is_reference(theta)
    assert not is_reference(theta | {"rate/0.bias": theta["0.bias"]})
    assert not is_reference({f"net.{name}": p for name, p in theta.items()})
    assert not is_reference(theta | {"2.bias": torch.zeros(3)})
    assert not is_reference(theta | {"0.weight": torch.zeros(8, 2, 2)})
