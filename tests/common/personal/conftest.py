"""Small starts over the wards' study, six inputs and eight hidden units; a portfolio of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn
from torch.func import functional_call

from common.learner import make_learner
from common.models import initialize, weighted_loss
from common.personal import tunable
from common.personal.portfolio import Kind, Portfolio, Rule
from common.personal.portfolio import write_portfolio as write
from common.personal.starts import Start
from common.study import Study
from tests.common.personal.rules import rule

MakeStart = Callable[..., Start]
INPUTS = 6


@pytest.fixture
def make_start(ward_study: Study, monkeypatch: pytest.MonkeyPatch) -> MakeStart:
    """Return a start by name, with theta drawn from `seed`; `build`: another network than ours.

    Steps are taken one by one: test_tunable.py proves the compiled ones equal, and compiling takes
    longer than all that is tested here.
    """
    monkeypatch.setattr(tunable, "COMPILED", False)

    def make(
        name: str = "maml",
        *,
        seed: int = 0,
        task: str = "",
        build: Callable[[], nn.Module] | None = None,
    ) -> Start:
        learner = make_learner(ward_study, seed=seed)
        if build is None:
            return Start(name, learner, learner.initial, task)
        model, theta = initialize(build, seed)
        other = replace(
            learner,
            loss=weighted_loss(model),
            logits=lambda params, x: functional_call(model, params, (x,)),
            initial=theta,
        )
        return Start(name, other, theta, task)

    return make


@pytest.fixture
def deep() -> Callable[[], nn.Module]:
    """Two hidden layers; the head's name is not the last in alphabetical order."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(INPUTS, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh())
            self.head = nn.Linear(4, 2)

        def forward(self, x: object) -> object:
            return self.head(self.trunk(x))

    return Deep


@pytest.fixture
def portfolio(make_start: MakeStart, ward_study: Study) -> Portfolio:
    starts = [make_start("maml"), make_start("reptile", seed=1)]
    starts += [make_start("expert", seed=2, task="gout"), make_start("other", seed=3, task="mumps")]
    rules: dict[Kind, Rule] = {"known": rule(0), "new": rule(1)}
    return Portfolio(starts, [ward_study] * 4, rules, "a simulation")


@pytest.fixture
def folder(portfolio: Portfolio, tmp_path: Path) -> Path:
    write(tmp_path / "model", portfolio)
    return tmp_path / "model"
