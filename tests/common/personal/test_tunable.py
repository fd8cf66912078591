from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from common.jit import COMPILED
from common.learner import Learner, make_learner
from common.models import perceptron
from common.personal import tunable as arms
from common.personal.tunable import Tunable
from common.study import Study
from simulation.draws import DrawnTask, draw
from simulation.scenarios import HeldOut
from simulation.source import make_plan, tailored

ONE_RATE = ("maml", "fomaml", "multi-step", "reptile", "fedavg", "fedprox", "per-fedavg")
OWN_RATES = ("anil", "meta-sgd")


@pytest.fixture
def settings(wards: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return wards()


@pytest.fixture
def task(settings: dict[str, Any]) -> DrawnTask:
    held: HeldOut = make_plan(settings).split.test[0]
    drawn = draw(held, draws=4, min_per_class=4, seed=0)
    assert isinstance(drawn, DrawnTask)
    return drawn


def learner_of(settings: dict[str, Any], algorithm: str) -> Learner:
    study: Study = tailored(make_plan(settings), settings | {"algorithm": algorithm})
    return make_learner(study, seed=0)


@pytest.mark.skipif(not COMPILED, reason="without numba there is the generic path alone")
@pytest.mark.parametrize("algorithm", ONE_RATE)
@pytest.mark.parametrize("k", [1, 6])
def test_the_closed_form_is_taken_and_agrees_with_the_generic_path(
    algorithm: str, k: int, settings: dict[str, Any], task: DrawnTask
) -> None:
    learner = learner_of(settings, algorithm)
    closed = Tunable(learner, learner.initial)
    assert closed.closed
    found = closed.path(*task.support(k), task.test_x)
    generic = Tunable(learner, learner.initial, arithmetic="generic")
    assert not generic.closed
    expected = generic.path(*task.support(k), task.test_x)
    assert list(found) == sorted(found)
    assert set(found) == set(expected)
    for setting, p in expected.items():
        assert found[setting].dtype == p.dtype
        np.testing.assert_allclose(found[setting], p, atol=2e-6)


@pytest.mark.parametrize("algorithm", OWN_RATES)
def test_algorithms_with_rates_of_their_own_stay_on_the_generic_path(
    algorithm: str, settings: dict[str, Any]
) -> None:
    learner = learner_of(settings, algorithm)
    assert not Tunable(learner, learner.initial).closed


def test_a_model_of_ones_own_is_adapted_by_its_own_function(
    settings: dict[str, Any], task: DrawnTask
) -> None:
    study: Study = tailored(make_plan(settings), settings)
    inputs = task.test_x.shape[1]

    def build() -> nn.Module:  # the names and shapes of the reference network, another function
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, 2))

    own = Tunable(make_learner(study, seed=0, build=build), make_learner(study, seed=0).initial)
    assert not own.closed
    relu = Tunable(make_learner(study, seed=0), own.meta)
    x, y = task.support(6)
    p, other = (t.predict(x, y, task.test_x, (1.0, 3)) for t in (own, relu))
    assert not np.allclose(p, other, atol=1e-3)


def test_rows_may_have_any_shape(settings: dict[str, Any], task: DrawnTask) -> None:
    study: Study = tailored(make_plan(settings), settings)
    inputs = task.test_x.shape[1]

    def build() -> nn.Module:  # the reference network behind a Flatten
        return nn.Sequential(nn.Flatten(), *perceptron(inputs, hidden=8).children())

    flat = Tunable(make_learner(study, seed=0), make_learner(study, seed=0).initial)
    names = ("1.weight", "1.bias", "3.weight", "3.bias")
    meta = dict(zip(names, flat.meta.values(), strict=True))
    shaped = Tunable(make_learner(study, seed=0, build=build), meta)
    x, y = task.support(6)
    found = shaped.path(x[:, :, None], y, task.test_x[:, None])
    for setting, p in flat.path(x, y, task.test_x).items():
        np.testing.assert_allclose(found[setting], p, atol=2e-6)


def test_another_network_or_no_numba_is_the_generic_path(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(settings, "maml")
    other = {f"net.{name}": p for name, p in learner.initial.items()}
    assert not Tunable(learner, other).closed
    monkeypatch.setattr(arms, "COMPILED", False)
    assert not Tunable(learner, learner.initial).closed


@pytest.mark.parametrize("algorithm", ["maml", "anil", "meta-sgd"])
def test_predictions_along_a_path_are_those_of_each_setting_alone(
    algorithm: str, settings: dict[str, Any], task: DrawnTask
) -> None:
    learner = learner_of(settings, algorithm)
    tunable = Tunable(learner, learner.initial, scales=(0.3, 3.0), steps=(1, 4))
    x, y = task.support(6)
    path = tunable.path(x, y, task.test_x)
    assert set(path) == {(0.3, 1), (0.3, 4), (3.0, 1), (3.0, 4)}
    for setting, p in path.items():
        alone = tunable.predict(x, y, task.test_x, setting)
        np.testing.assert_allclose(p, alone, atol=1e-6)


@pytest.mark.parametrize("arithmetic", ["auto", "generic"])
def test_adaptation_for_a_draw_equals_plain_torch_descent(
    arithmetic: Any, settings: dict[str, Any], task: DrawnTask
) -> None:
    learner = learner_of(settings, "maml")
    x, y = task.support(6)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    model.load_state_dict(learner.initial)
    optimizer = torch.optim.SGD(model.parameters(), lr=learner.settings.inner_lr * 3)
    for _ in range(4):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[1]), y[1]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    expected = model(task.test_x).softmax(1)[:, 1].detach().numpy()
    tunable = Tunable(learner, learner.initial, arithmetic=arithmetic)
    np.testing.assert_allclose(tunable.predict(x, y, task.test_x, (3.0, 4))[1], expected, atol=1e-6)
