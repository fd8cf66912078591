from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import NonFiniteError
from common.learner import Learner, make_learner
from common.study import Study
from simulation.arms import Tunable
from simulation.draws import DrawnTask, draw
from simulation.evaluation import TRUTH, Arm, score, score_per_class, tune
from simulation.scenarios import HeldOut
from simulation.source import make_plan, tailored


def quiet(doing: str) -> None:
    del doing


@pytest.fixture
def study(wards: Callable[..., dict[str, Any]]) -> Study:
    settings = wards()
    return tailored(make_plan(settings), settings)


@pytest.fixture
def learner(study: Study) -> Learner:
    return make_learner(study, seed=0)


@pytest.fixture
def tasks(wards: Callable[..., dict[str, Any]]) -> list[DrawnTask]:
    held = make_plan(wards()).split.test
    drawn = [draw(h, draws=4, min_per_class=4, seed=0) for h in held]
    return [d for d in drawn if isinstance(d, DrawnTask)]


def test_predictions_along_a_path_are_those_of_each_setting_alone(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    tunable = Tunable(learner, learner.initial, scales=(0.3, 3.0), steps=(1, 4))
    x, y = tasks[0].support(6)
    path = tunable.path(x, y, tasks[0].test_x)
    assert set(path) == {(0.3, 1), (0.3, 4), (3.0, 1), (3.0, 4)}
    for setting, p in path.items():
        alone = tunable.predict(x, y, tasks[0].test_x, setting)
        np.testing.assert_allclose(p, alone, atol=1e-6)


def test_adaptation_for_a_draw_equals_plain_torch_descent(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    x, y = tasks[0].support(6)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    model.load_state_dict(learner.initial)
    optimizer = torch.optim.SGD(model.parameters(), lr=learner.settings.inner_lr * 3)
    for _ in range(4):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[1]), y[1]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    expected = model(tasks[0].test_x).softmax(1)[:, 1].detach().numpy()
    found = Tunable(learner, learner.initial).predict(x, y, tasks[0].test_x, (3.0, 4))
    np.testing.assert_allclose(found[1], expected, atol=1e-6)


def test_without_labels_an_untrained_arm_says_one_half_and_a_trained_one_theta(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    tunable = Tunable(learner, learner.initial)
    x, y = tasks[0].support(0)
    untrained = Arm("local-network", tunable, trained=False)
    assert (untrained.predict(tasks[0], x, y, setting_of=0) == 0.5).all()
    zero = Arm("maml", tunable).predict(tasks[0], x, y, setting_of=0)
    expected = learner.logits(learner.initial, tasks[0].test_x).softmax(1)[:, 1]
    np.testing.assert_allclose(zero[0], expected.numpy(), atol=1e-7)


def test_tuning_takes_the_setting_of_least_validation_loss_per_k(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    # One setting is hopeless: a step of 1000 times the rate.
    tunable = Tunable(learner, learner.initial, scales=(1.0, 1000.0), steps=(3,))
    arm = tune(Arm("maml", tunable), tasks, (0, 5, 10), quiet)
    assert arm.choice == {5: (1.0, 3), 10: (1.0, 3)}


def test_where_no_validation_task_is_large_enough_the_studys_own_setting_holds(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    arm = tune(Arm("maml", Tunable(learner, learner.initial)), [], (5,), quiet)
    assert arm.choice == {5: (1.0, learner.settings.inner_steps)}


def test_every_arm_is_scored_at_every_k_that_the_patients_allow(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    tunable = Tunable(learner, learner.initial, scales=(1.0,), steps=(1,))
    arms = [Arm("local-logistic", trained=False), Arm("fedavg", tunable, adapts=False)]
    scores = score(arms, tasks, (0, 5, 10_000), quiet)
    names = [task.held.name for task in tasks]
    assert set(scores) == {(n, k, a.name) for n in names for k in (0, 5) for a in arms}
    zero, five = scores[names[0], 0, "fedavg"], scores[names[0], 5, "fedavg"]
    assert zero == five, "zero-shot does not look at labels"
    assert (names[0], 2, "fedavg") in score_per_class(arms, tasks, (2, 10_000))


def test_the_true_probabilities_are_an_arm_where_they_are_known(tasks: list[DrawnTask]) -> None:
    held = tasks[0].held
    truth = np.where(held.task.y == 1, 0.9, 0.1)
    known = draw(HeldOut(held.site, held.task, "", truth), draws=4, min_per_class=4, seed=0)
    assert isinstance(known, DrawnTask)
    scores = score([Arm(TRUTH)], [known, tasks[1]], (5,), quiet)
    assert list(scores) == [(known.held.name, 5, TRUTH)]
    assert scores[known.held.name, 5, TRUTH]["auroc"].mean == 1


def test_a_nan_prediction_is_refused_and_never_scored(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    broken = {name: p * float("nan") for name, p in learner.initial.items()}
    with pytest.raises(NonFiniteError, match="fedavg"):
        score([Arm("fedavg", Tunable(learner, broken), adapts=False)], tasks, (5,), quiet)
