"""Small float64 problems for the numerical core."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from common.episodes import Episode, Rows, Task
from common.models import Loss, initialize, weighted_loss
from common.parameters import Params
from common.randomness import generator

# A busy machine is no failure: examples are bounded in number, not in time.
settings.register_profile("wardround", deadline=None)
settings.load_profile("wardround")


class Problem(NamedTuple):
    """A net, its loss and first parameters, and episodes to meta-learn from, all in float64."""

    model: nn.Module
    loss: Loss
    theta: Params
    episodes: Episode


def build_problem(
    activation: Callable[[], nn.Module] = nn.Tanh,
    *,
    features: int = 3,
    hidden: int = 4,
    episodes: int = 2,
    support: int = 6,
    query: int = 8,
    padded: bool = True,
    seed: int = 0,
) -> Problem:
    """Return a `features`-`hidden`-2 problem; `padded`: the last rows of an episode weigh 0."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(features, hidden), activation(), nn.Linear(hidden, 2))

    model, theta = initialize(build, seed)
    rng = generator("problem", seed)

    def rows(size: int) -> Rows:
        x = torch.from_numpy(rng.normal(size=(episodes, size, features)))
        y = torch.from_numpy(rng.integers(2, size=(episodes, size)))
        weight = torch.ones(episodes, size, dtype=torch.float64)
        if padded:
            weight[0, -2:] = 0
        return Rows(x, y, weight)

    drawn = Episode(rows(support), rows(query))
    return Problem(model.double(), weighted_loss(model), to_float64(theta), drawn)


def to_float64(params: Params) -> Params:
    return {name: p.double() for name, p in params.items()}


def map_rows(change: Callable[[Rows], Rows], episodes: Episode) -> Episode:
    """Return the episodes with the same change made to support and query."""
    return Episode(*(change(side) for side in episodes))


def reverse_patients(rows: Rows) -> Rows:
    return Rows(rows.x.flip(1), rows.y.flip(1), rows.weight.flip(1))


def add_padding(rows: Rows, garbage: float = 1e3) -> Rows:
    """Return the rows [E, n, ...] with three more of weight 0 that hold finite garbage."""

    def longer(part: Tensor, value: float) -> Tensor:
        extra = torch.full((part.shape[0], 3, *part.shape[2:]), value, dtype=part.dtype)
        return torch.cat([part, extra], dim=1)

    return Rows(longer(rows.x, garbage), longer(rows.y, 1), longer(rows.weight, 0))


def build_task(
    rows: int,
    *,
    name: str = "task",
    first: int = 0,
    positives: int | None = None,
    features: int = 3,
) -> Task:
    """Return a task of patients first..first+rows-1, the first `positives` (half) of class 1."""
    patient = np.arange(first, first + rows, dtype=np.int64)
    y = (np.arange(rows) < (rows // 2 if positives is None else positives)).astype(np.int64)
    # Every value of a row is the patient's index, so that an episode shows whom it holds.
    x = np.repeat(patient.astype(np.float32)[:, None], features, axis=1)
    return Task(name, x, y, patient)


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    return build_problem


@pytest.fixture
def make_task() -> Callable[..., Task]:
    return build_task


@pytest.fixture
def rearranged() -> Callable[[str, Episode], Episode]:
    """The same episodes with a change that must not matter: its name, the episodes."""
    changes = {"reversed": reverse_patients, "padded": add_padding}
    return lambda name, episodes: map_rows(changes[name], episodes)
