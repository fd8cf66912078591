"""Starts that nobody trained, and supports of them."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from common.learner import make_learner
from common.personal.starts import Start
from common.study import make_study

INPUTS = 6  # of the features below


def _make_start(name: str, seed: int, *, algorithm: str = "maml", task: str = "") -> Start:
    study = make_study(
        {
            "name": "few",
            "features": [{"name": f"m{i}"} for i in range(INPUTS // 2)],
            "tasks": [{"name": "gout", "column": "gout"}],
            "model": {"hidden": 7},
            "algorithm": {"name": algorithm, "inner_steps": 2},
        },
        where="test",
    )
    learner = make_learner(study, seed=seed)
    return Start(name, learner, learner.initial, task)


@pytest.fixture
def starts() -> Sequence[Start]:
    return _make_start("maml", 1), _make_start("fedavg", 2)


@pytest.fixture
def support() -> Callable[..., tuple[Tensor, Tensor]]:
    def draw(k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(seed)
        x = torch.randn(k, INPUTS, generator=rng, dtype=torch.float64)
        y = (x[:, 0] + 0.5 * torch.randn(k, generator=rng) > 0).double()
        return x, y

    return draw


@pytest.fixture
def make_start() -> Callable[..., Start]:
    return _make_start
