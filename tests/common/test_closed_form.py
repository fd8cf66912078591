"""The closed form against the generic path, central differences and a case done by hand."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from common import kernels
from common.algorithms.base import Algorithm, InnerSettings, site_updates
from common.algorithms.maml import FOMAML, MAML, query_loss
from common.episodes import Episode, Rows
from common.errors import SettingsError
from common.learner import choose
from common.models import Loss, initialize, perceptron, weighted_loss
from common.parameters import Params, flatten, unflatten
from common.randomness import generator
from common.reference import maml_updates

Case = tuple[Loss, Params, Episode]


def case(
    *, inputs: int = 5, hidden: int = 8, classes: int = 2, dtype: torch.dtype = torch.float64,
    support: int = 6, query: int = 9, sites: int = 3, episodes: int = 2, scale: float = 1.0,
) -> Case:  # fmt: skip
    """A network and random episodes with some padding; seeded by the sizes."""
    rng = generator("closed form", inputs, hidden, classes, support, query)
    model, theta = initialize(lambda: perceptron(inputs, hidden=hidden, outputs=classes), 1)
    theta = {name: (p * scale).to(dtype) for name, p in theta.items()}

    def rows(n: int) -> Rows:
        shape = (sites, episodes, n)
        weight = torch.ones(shape, dtype=dtype)
        weight[:, 0, n - n // 3 :] = 0
        x = torch.from_numpy(rng.standard_normal((*shape, inputs))).to(dtype)
        return Rows(x, torch.from_numpy(rng.integers(0, classes, shape)), weight)

    return weighted_loss(model.to(dtype)), theta, Episode(rows(support), rows(query))


def generic(algorithm: Algorithm, this: Case, settings: InnerSettings) -> torch.Tensor:
    loss, theta, episodes = this
    return site_updates(algorithm, loss, theta, episodes, settings)


@pytest.mark.parametrize("algorithm", [MAML, FOMAML], ids=lambda a: a.name)
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"inputs": 1},
        {"hidden": 17, "classes": 3, "inputs": 7},
        {"inputs": 32, "support": 10, "query": 15},
        {"support": 1, "query": 1},
        {"scale": 5.0},
    ],
    ids=str,
)
def test_it_equals_the_generic_path(
    algorithm: Algorithm, steps: int, sizes: dict[str, Any]
) -> None:
    # float64: what is left is rounding alone.
    this = case(**sizes)
    settings = InnerSettings(inner_lr=0.3, inner_steps=steps)
    second = algorithm is MAML
    closed = maml_updates(this[1], this[2], lr=0.3, steps=steps, second_order=second)
    torch.testing.assert_close(closed, generic(algorithm, this, settings), rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 5])
def test_it_equals_the_generic_path_in_float32_to_1e_6(steps: int) -> None:
    this = case(inputs=32, hidden=64, support=10, query=15, dtype=torch.float32)
    settings = InnerSettings(inner_lr=0.1, inner_steps=steps)
    closed = maml_updates(this[1], this[2], lr=0.1, steps=steps, second_order=True)
    torch.testing.assert_close(closed, generic(MAML, this, settings), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_every_coordinate_is_the_central_difference(steps: int) -> None:
    loss, theta, episodes = case(inputs=3, sites=1, episodes=1, support=4, query=5)
    settings = InnerSettings(inner_lr=0.3, inner_steps=steps)
    (one,) = [Episode(*(Rows(*(part[0, 0] for part in side)) for side in episodes))]
    vector, h = flatten(theta), 1e-5

    def objective(at: torch.Tensor) -> float:
        meta = unflatten(at, theta)
        return float(query_loss(loss, meta, one, settings, second_order=True))

    (closed,) = maml_updates(theta, episodes, lr=0.3, steps=steps, second_order=True)
    for i, derivative in enumerate(closed.tolist()):
        step = torch.zeros_like(vector)
        step[i] = h
        difference = (objective(vector + step) - objective(vector - step)) / (2 * h)
        assert derivative == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_no_step_of_one_unit_by_hand() -> None:
    # One input, one of eight units is on, two classes, x = y = 1 in support and query, no step:
    # z = 1, w2 = (1, -1), b2 = (-1, 1), so o = (0, 0), P = (1/2, 1/2), R = P - Y = (1/2, -1/2),
    # dL/dW2 = R z = (1/2, -1/2) for that unit, dL/db2 = R, dL/dW1 = (R . w2) x = 1 = dL/db1.
    unit = torch.eye(8, dtype=torch.float64)[0]
    meta = {
        "0.weight": unit[:, None],
        "0.bias": torch.zeros(8, dtype=torch.float64),
        "2.weight": torch.stack([unit, -unit]),
        "2.bias": torch.tensor([-1.0, 1.0], dtype=torch.float64),
    }
    ones = torch.ones(1, 1, 1, dtype=torch.float64)
    rows = Rows(ones[..., None], torch.ones(1, 1, 1, dtype=torch.int64), ones)
    (update,) = maml_updates(meta, Episode(rows, rows), lr=0.1, steps=0, second_order=True)
    expected = torch.cat([unit, unit, 0.5 * unit, -0.5 * unit, torch.tensor([0.5, -0.5])])
    torch.testing.assert_close(update, expected.double())


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["0.weight", "2.bias"])
def test_nan_and_infinity_come_through(poison: float, where: str) -> None:
    _, theta, episodes = case()
    theta[where].view(-1)[0] = poison
    updates = maml_updates(theta, episodes, lr=0.1, steps=2, second_order=True)
    assert not torch.isfinite(updates).all(dim=1).any()


def test_an_episode_without_weight_is_no_silent_zero() -> None:
    _, theta, episodes = case()
    episodes.query.weight[1, 0] = 0
    updates = maml_updates(theta, episodes, lr=0.1, steps=1, second_order=True)
    assert torch.isfinite(updates).all(dim=1).tolist() == [True, False, True]


def test_rows_of_weight_0_change_nothing() -> None:
    _, theta, episodes = case()
    spoiled = Episode(
        *(
            side._replace(x=torch.where(side.weight[..., None] > 0, side.x, 9.0))
            for side in episodes
        )
    )
    run = partial(maml_updates, theta, lr=0.3, steps=2, second_order=True)
    assert torch.equal(run(episodes), run(spoiled))


def interpreted(function: Any) -> Callable[..., None]:
    return getattr(function, "py_func", function)  # type: ignore[no-any-return]


def test_the_kernels_give_the_same_numbers_interpreted() -> None:
    rng = generator("kernels")
    a, b = rng.standard_normal((11, 7)), rng.standard_normal((7, 3))
    out = np.zeros((11, 3))
    interpreted(kernels.add_product)(out, a, b, 3)
    np.testing.assert_allclose(out, a @ b, atol=1e-12)
    out = np.zeros((11, 7))
    interpreted(kernels.gram)(out, a, a[:7], 0.5)
    np.testing.assert_allclose(out, 0.5 * (a @ a[:7].T + 1), atol=1e-12)


def test_an_algorithm_without_a_closed_form_is_refused_one() -> None:
    loss, _, _ = case()
    plain = dataclasses.replace(MAML, reference=None)
    with pytest.raises(SettingsError, match="no closed form"):
        choose(plain, loss, "reference")
    assert choose(MAML, loss, "reference") is MAML.reference
