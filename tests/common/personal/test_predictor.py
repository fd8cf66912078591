from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from common.learner import make_learner
from common.personal import tunable
from common.personal.candidates import panel
from common.personal.gate import Scale, mix
from common.personal.predictor import Predictor
from common.personal.starts import Start
from common.study import make_study

Draw = Callable[..., tuple[Tensor, Tensor]]
INPUTS = 6  # of the features below


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunable, "COMPILED", False)


def any_start(name: str, seed: int, *, algorithm: str = "maml") -> Start:
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
    return Start(name, learner, learner.initial)


@pytest.fixture
def starts() -> Sequence[Start]:
    return any_start("maml", 1), any_start("fedavg", 2)


@pytest.fixture
def support() -> Draw:
    def draw(k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(seed)
        x = torch.randn(k, INPUTS, generator=rng, dtype=torch.float64)
        y = (x[:, 0] + 0.5 * torch.randn(k, generator=rng) > 0).double()
        return x, y

    return draw


def fit(
    starts: Sequence[Start], x: Tensor, y: Tensor, others: Tensor, only: str = ""
) -> tuple[Predictor, Tensor, Tensor]:
    """Return the predictor, the gate's own probabilities for others, and their unlikeness."""
    made = panel(starts, x[None], y[None], others)
    logs = {c.name: -0.1 * i for i, c in enumerate(made.candidates) if only in c.name}
    at = Scale(logs, 0.1, 1.2, -0.3, 0.6)
    mixed = mix(at, made, y[None].float())
    weights = dict(zip(made.candidates, mixed.weights[:, 0].tolist(), strict=True))
    bare = mix(at._replace(intercept_sd=0.0), made, y[None].float())
    shift = float((mixed.logits - bare.logits)[0, 0])
    allowed = torch.ones(x.shape[1])
    predictor = Predictor(starts, x, y, allowed, weights=weights, at=at, shift=shift)
    return predictor, mixed.logits[0].sigmoid(), made.unlikeness[0]


FAMILIES = ("prevalence", "local/0.3", "maml/zero", "intercept/0.1", "fedavg/head", "maml/full/4")


@pytest.mark.parametrize("only", ["", *FAMILIES, "fedavg/inputs/0.1", "maml/steps/2", "steps/6"])
@pytest.mark.parametrize("k", [1, 12])
def test_the_module_predicts_what_panel_and_gate_do(
    only: str, k: int, starts: Sequence[Start], support: Draw
) -> None:
    (x, y), others = support(k), support(30, seed=9)[0]
    predictor, expected, unlike = fit(starts, x, y, others, only)
    torch.testing.assert_close(predictor(others).float(), expected, atol=3e-6, rtol=0)
    torch.testing.assert_close(predictor.unlikeness(others).float(), unlike, atol=1e-5, rtol=0)


@pytest.mark.parametrize("algorithm", ["meta-sgd", "anil"])
def test_starts_with_rates_of_their_own_are_no_exception(algorithm: str, support: Draw) -> None:
    starts = [any_start("own", 3, algorithm=algorithm)]
    (x, y), others = support(9), support(20, seed=5)[0]
    predictor, expected, _ = fit(starts, x, y, others)
    torch.testing.assert_close(predictor(others).float(), expected, atol=3e-6, rtol=0)


def test_a_patient_alone_gets_what_it_gets_among_others_and_forbidden_inputs_are_blind(
    starts: Sequence[Start], support: Draw
) -> None:
    (x, y), others = support(12), support(5, seed=2)[0]
    x[:, 1] = others[:, 1] = 0
    predictor, *_ = fit(starts, x, y, others)
    predictor.allowed[1] = 0
    together = predictor(others)
    alone = torch.cat([predictor(row[None]) for row in others])
    torch.testing.assert_close(alone, together, atol=1e-12, rtol=0)
    changed = others.clone()
    changed[:, 1] = 7
    assert torch.equal(predictor(changed), together)
