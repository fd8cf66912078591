"""Which tasks have their turn, and how many patients of which class an episode takes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.drawing import draw_episodes
from common.episodes import EpisodePlan, Task
from common.errors import SettingsError, TableError
from common.randomness import stream
from tests.common.drawn import everyone, patients, positives, task_of

MakeTask = Callable[..., Task]


def test_every_task_has_its_turn_before_one_has_a_second(make_task: MakeTask) -> None:
    tasks = [make_task(100, first=100 * i) for i in range(4)]
    plan = EpisodePlan(support=4, query=4, meta_batch=8)
    for seed in range(10):
        episodes = draw_episodes(tasks, plan, stream(seed))
        turns = [patients(episodes.support, e)[0] // 100 for e in range(8)]
        assert sorted(turns[:4]) == sorted(turns[4:]) == [0, 1, 2, 3]


def test_the_order_of_turns_is_drawn(make_task: MakeTask) -> None:
    tasks = [make_task(20, first=20 * i) for i in range(4)]
    plan = EpisodePlan(support=4, query=4, meta_batch=1)
    first = {
        patients(draw_episodes(tasks, plan, stream(seed)).support, 0)[0] // 20 for seed in range(40)
    }
    assert first == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("support", "query", "expected"),
    [
        (10, 14, ([5] * 4, [7] * 4)),  # even sizes: half and half
        (10, 15, ([5] * 4, [8] * 4)),  # the odd patient is of the last class
    ],
)
def test_balanced_episodes_hold_as_many_of_each_class_in_support_and_query(
    make_task: MakeTask, support: int, query: int, expected: tuple[list[int], list[int]]
) -> None:
    plan = EpisodePlan(support=support, query=query, meta_batch=4, prevalence="balanced")
    episodes = draw_episodes([make_task(400, positives=60)], plan, stream(0))
    assert (positives(episodes.support), positives(episodes.query)) == expected


@given(st.integers(2, 5), st.integers(5, 12), st.integers(5, 12), st.integers(0, 99))
def test_balanced_classes_differ_by_one_patient_at_most(
    classes: int, support: int, query: int, seed: int
) -> None:
    task = task_of(0, [c for c in range(classes) for _ in range(20)])
    plan = EpisodePlan(support=support, query=query, meta_batch=1, prevalence="balanced")
    for side in draw_episodes([task], plan, stream(seed)):
        sizes = np.bincount(side.y[0][side.weight[0] == 1].numpy(), minlength=classes)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.sum() == side.weight.shape[1]


def test_a_scarce_class_is_shared_between_support_and_query(make_task: MakeTask) -> None:
    # 5 + 5 of each class are wanted, 4 positives exist: 4 * 5 / 10 = 2 each; rows are padded.
    plan = EpisodePlan(support=10, query=10, meta_batch=1, prevalence="balanced")
    episodes = draw_episodes([make_task(50, positives=4)], plan, stream(0))
    assert positives(episodes.support) == positives(episodes.query) == [2]
    assert episodes.support.weight.sum() == episodes.query.weight.sum() == 5 + 2


def test_natural_episodes_have_the_tasks_prevalence_on_average(make_task: MakeTask) -> None:
    # 2,000 supports of 10 from 30 positives in 100 rows. The share has expectation .3 and standard
    # error sqrt(.3 * .7 / 10 * 90 / 99 / 2000) = .0031 (without replacement): within 5 of them.
    plan = EpisodePlan(support=10, query=15, meta_batch=1, prevalence="natural")
    task = make_task(100, positives=30)
    drawn = [draw_episodes([task], plan, stream("natural", i)) for i in range(2000)]
    support = sum(positives(e.support)[0] for e in drawn) / (10 * len(drawn))
    query = sum(positives(e.query)[0] for e in drawn) / (15 * len(drawn))
    assert abs(support - 0.3) < 5 * 0.0031
    assert abs(query - 0.3) < 5 * 0.0031


def test_every_patient_is_drawn_equally_often(make_task: MakeTask) -> None:
    # 25 of 100 patients in each of 2,000 draws: 500 +- sqrt(2000 * .25 * .75) = 19.4 for each.
    plan = EpisodePlan(support=10, query=15, meta_batch=1, prevalence="natural")
    times = np.zeros(100, dtype=np.int64)
    for i in range(2000):
        times[everyone(draw_episodes([make_task(100)], plan, stream("often", i)))] += 1
    assert times.sum() == 2000 * 25
    assert abs(times - 500).max() < 5 * 19.4


def test_a_balanced_episode_needs_two_patients_of_every_class(make_task: MakeTask) -> None:
    plan = EpisodePlan(meta_batch=1, prevalence="balanced")
    with pytest.raises(TableError):
        draw_episodes([make_task(50, positives=1)], plan, stream(0))
    assert everyone(draw_episodes([make_task(50, positives=2)], plan, stream(0)))


def test_a_task_without_patients_takes_no_turn_from_the_others(make_task: MakeTask) -> None:
    tasks = [make_task(1), make_task(200, first=1)]
    for seed in range(10):
        episodes = draw_episodes(tasks, EpisodePlan(meta_batch=4), stream(seed))
        assert len(episodes.support.weight) == 4


@pytest.mark.parametrize(("support", "query"), [(1, 15), (15, 1)])
@pytest.mark.parametrize("negatives", [5, 25])
def test_a_balanced_plan_with_fewer_rows_than_classes_is_refused_as_such(
    make_task: MakeTask, support: int, query: int, negatives: int
) -> None:
    plan = EpisodePlan(support=support, query=query, meta_batch=1, prevalence="balanced")
    with pytest.raises((SettingsError, TableError), match="2 classes"):
        draw_episodes([make_task(50, positives=50 - negatives)], plan, stream(0))
