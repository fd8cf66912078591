from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.errors import NonFiniteError
from common.learner import Learner, make_learner
from common.metrics import estimates
from common.personal.tunable import Tunable
from common.study import Study
from simulation.draws import DrawnTask, draw
from simulation.evaluation import TRUTH, Arm, adaptation_curves, curves, score, tune
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


def test_the_logistic_regression_takes_rows_of_any_shape_as_flat_ones(
    tasks: list[DrawnTask],
) -> None:
    flat = tasks[0]
    own = flat.held.task
    shaped = replace(flat, held=replace(flat.held, task=replace(own, x=own.x[:, None, :, None])))
    local = Arm("local-logistic", trained=False)
    p, q = (local.predict(t, *t.support(8), setting_of=8) for t in (flat, shaped))
    np.testing.assert_array_equal(p, q)


def test_tuning_takes_the_setting_of_least_validation_loss_per_k(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    # One setting is hopeless: a step of 1000 times the rate.
    tunable = Tunable(learner, learner.initial, scales=(1.0, 1000.0), steps=(3,))
    local = Arm("local-logistic", trained=False)
    same, arm = tune([local, Arm("maml", tunable)], tasks, (0, 5, 10), quiet)
    assert same is local, "it has no settings"
    assert arm.choice == {5: (1.0, 3), 10: (1.0, 3)}


def test_where_no_validation_task_is_large_enough_the_studys_own_setting_holds(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    (arm,) = tune([Arm("maml", Tunable(learner, learner.initial))], [], (5,), quiet)
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
    assert (names[0], 2, "fedavg") in score(arms, tasks, (2, 10_000), quiet, per_class=True)


def test_the_true_probabilities_are_an_arm_where_they_are_known(tasks: list[DrawnTask]) -> None:
    held = tasks[0].held
    truth = np.where(held.task.y == 1, 0.9, 0.1)
    known = draw(HeldOut(held.site, held.task, "", truth), draws=4, min_per_class=4, seed=0)
    assert isinstance(known, DrawnTask)
    scores = score([Arm(TRUTH)], [known, tasks[1]], (5,), quiet)
    assert list(scores) == [(known.held.name, 5, TRUTH)]
    assert scores[known.held.name, 5, TRUTH]["auroc"].mean == 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_nan_prediction_is_refused_in_whatever_process_and_never_scored(
    learner: Learner, tasks: list[DrawnTask], number: int
) -> None:
    broken = {name: p * float("nan") for name, p in learner.initial.items()}
    arms = [Arm("fedavg", Tunable(learner, broken), adapts=False)]
    with pytest.raises(NonFiniteError, match="fedavg predicts NaN") as found:
        score(arms, tasks, (5,), quiet, number_of_workers=number)
    assert found.value.where == tasks[0].held.name


def test_any_number_of_workers_gives_the_same_numbers_in_the_same_order(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    arms = [Arm("local-logistic", trained=False), Arm("maml", Tunable(learner, learner.initial))]

    def run(number: int) -> tuple[object, ...]:
        said: list[str] = []
        tuned = tune(arms, tasks, (5, 10), said.append, number_of_workers=number)
        scores = score(tuned, tasks, (0, 5, 10), said.append, number_of_workers=number)
        return [arm.choice for arm in tuned], list(scores.items()), said

    one, two = run(1), run(2)
    assert one == two
    said = one[2]
    assert isinstance(said, list)
    assert len(said) == 3 * len(tasks), "a tick for each tuned and each scored arm of a task"
    assert said[:2] == [f"{task.held.name}: maml" for task in tasks[:2]]


def test_adaptation_curves_are_the_means_that_scoring_finds(
    learner: Learner, tasks: list[DrawnTask]
) -> None:
    start = Tunable(learner, learner.initial)
    found = adaptation_curves(start, tasks, (0, 5, 10_000))
    assert found.shape == (len(tasks), 3)
    assert np.isnan(found[:, 2]).all(), "no task has so many patients"
    for task, curve in zip(tasks, found, strict=True):
        for k, value in zip((0, 5), curve, strict=False):
            x, y = task.support(k)
            p = start.predict(x, y, task.test_x, (1.0, learner.settings.inner_steps))
            p = p if k else start.zero_shot(len(x), task.test_x)
            assert value == pytest.approx(estimates(task.test_y, p)["auroc"].mean)


def test_curves_of_several_starts_stay_apart(learner: Learner, tasks: list[DrawnTask]) -> None:
    starts = [
        Tunable(learner, {name: p * scale for name, p in learner.initial.items()})
        for scale in (1, 2, float("nan"))
    ]
    both = curves(starts, tasks, (3, 5), quiet, number_of_workers=2)
    assert both.shape == (2, 3, len(tasks), 2)
    for start, auroc in zip(starts, both[0], strict=True):
        np.testing.assert_array_equal(auroc, adaptation_curves(start, tasks, (3, 5)))
    assert np.isnan(both[:, 2]).all(), "what is NaN has no score"
