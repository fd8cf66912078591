from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.drawing import (
    as_episode,
    draw_episodes,
    ready_to_draw,
    room_for_packed,
    room_for_picked,
    site_table,
)
from common.episodes import Episode, EpisodePlan, Prevalence, Rows, Task
from common.errors import SettingsError, TableError
from common.randomness import stream, stream_key

MakeTask = Callable[..., Task]


def patients(rows: Rows, episode: int) -> list[int]:
    """Return who stands in the rows of one episode: in x every value is the patient's index."""
    here = rows.weight[episode] == 1
    return [int(value) for value in rows.x[episode, here, 0]]


def everyone(episodes: Episode) -> list[int]:
    """Return the patients of all episodes, each as often as it stands there."""
    drawn = len(episodes.support.weight)
    return [who for e in range(drawn) for side in episodes for who in patients(side, e)]


def positives(rows: Rows) -> list[int]:
    """Return how many rows of each episode are of class 1."""
    return [int(n) for n in (rows.y * rows.weight).sum(1)]


def task_of(first: int, labels: list[int]) -> Task:
    patient = np.arange(first, first + len(labels), dtype=np.int64)
    x = patient.astype(np.float32)[:, None]
    return Task(f"from{first}", x, np.array(labels, dtype=np.int64), patient)


plans = st.builds(
    EpisodePlan,
    support=st.integers(2, 12),
    query=st.integers(2, 12),
    meta_batch=st.integers(1, 6),
    prevalence=st.sampled_from(["natural", "balanced"]),
)
# Tasks of one site start at different patients, so some share patients and some do not.
sites = st.lists(
    st.builds(task_of, st.integers(0, 30), st.lists(st.integers(0, 1), min_size=4, max_size=40)),
    min_size=1,
    max_size=4,
)


@given(sites, plans, st.integers(0, 999))
def test_no_patient_stands_twice_in_a_round(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    try:
        episodes = draw_episodes(tasks, plan, stream(seed))
    except TableError:
        return
    drawn = everyone(episodes)
    assert len(drawn) == len(set(drawn))


@given(sites, plans, st.integers(0, 999))
def test_shapes_are_fixed_and_every_set_holds_somebody(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    try:
        episodes = draw_episodes(tasks, plan, stream(seed))
    except TableError:
        return
    drawn = len(episodes.support.weight)
    assert 1 <= drawn <= plan.meta_batch
    for side, size in zip(episodes, (plan.support, plan.query), strict=True):
        assert side.x.shape == (drawn, size, 1)
        assert side.y.shape == side.weight.shape == (drawn, size)
        assert (side.x.dtype, side.y.dtype, side.weight.dtype) == (
            torch.float32,
            torch.int64,
            torch.float32,
        )
        assert bool(((side.weight == 0) | (side.weight == 1)).all())
        assert side.weight.sum(1).min() >= 1


@given(sites, plans, st.integers(0, 999))
def test_every_row_is_one_patients_row_of_one_task(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    try:
        episodes = draw_episodes(tasks, plan, stream(seed))
    except TableError:
        return
    known = [set(zip(t.x[:, 0].tolist(), t.y.tolist(), strict=True)) for t in tasks]
    for e in range(len(episodes.support.weight)):
        rows = {
            (float(x), int(y))
            for side in episodes
            for x, y, w in zip(side.x[e, :, 0], side.y[e], side.weight[e], strict=True)
            if w
        }
        assert any(rows <= task for task in known)


@given(sites, plans, st.integers(0, 999))
def test_the_same_key_draws_the_same_episodes(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    try:
        one = draw_episodes(tasks, plan, stream("round", seed))
    except TableError:
        with pytest.raises(TableError):
            draw_episodes(tasks, plan, stream("round", seed))
        return
    torch.testing.assert_close(
        one, draw_episodes(tasks, plan, stream("round", seed)), rtol=0, atol=0
    )


def test_another_key_draws_other_episodes(make_task: MakeTask) -> None:
    tasks, plan = [make_task(200)], EpisodePlan()
    one, other = (draw_episodes(tasks, plan, stream("round", i)) for i in (1, 2))
    assert not torch.equal(one.support.x, other.support.x)


@pytest.mark.parametrize("prevalence", ["natural", "balanced"])
def test_a_site_with_enough_patients_fills_every_row(
    make_task: MakeTask, prevalence: Prevalence
) -> None:
    # 8 episodes of 10 + 15 take 200 of the 400 patients.
    plan = EpisodePlan(prevalence=prevalence)
    episodes = draw_episodes([make_task(400)], plan, stream(0))
    assert len(everyone(episodes)) == 200
    assert episodes.support.weight.shape == (8, 10)
    assert episodes.query.weight.shape == (8, 15)


def test_tasks_that_share_patients_never_share_one_in_a_round(make_task: MakeTask) -> None:
    # Two diagnoses of the same 60 patients: 60 // 20 = 3 episodes, then nobody is left.
    tasks = [make_task(60, name=name) for name in ("gout", "asthma")]
    plan = EpisodePlan(support=10, query=10, meta_batch=8, prevalence="natural")
    drawn = everyone(draw_episodes(tasks, plan, stream(0)))
    assert sorted(drawn) == list(range(60))


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


def test_a_short_episode_is_padded_with_rows_of_weight_0(make_task: MakeTask) -> None:
    # 10 patients for 10 + 15: 10 * 10 / 25 = 4 for support, 6 for query.
    plan = EpisodePlan(prevalence="natural")
    episodes = draw_episodes([make_task(10, first=1)], plan, stream(0))
    assert episodes.support.weight.tolist() == [[1.0] * 4 + [0.0] * 6]
    assert episodes.query.weight.tolist() == [[1.0] * 6 + [0.0] * 9]
    for side in episodes:
        padding = side.weight == 0
        assert not side.x[padding].any()
        assert not side.y[padding].any()


@pytest.mark.parametrize(
    ("rows", "prevalence"),
    [
        (0, "natural"),
        (1, "natural"),
        (1, "balanced"),
        (0, "balanced"),
    ],
)
def test_too_few_patients_are_refused(
    make_task: MakeTask, rows: int, prevalence: Prevalence
) -> None:
    with pytest.raises(TableError, match="no episode can be drawn from 1 task"):
        draw_episodes([make_task(rows)], EpisodePlan(prevalence=prevalence), stream(0))


def test_a_balanced_episode_needs_two_patients_of_every_class(make_task: MakeTask) -> None:
    plan = EpisodePlan(meta_batch=1, prevalence="balanced")
    with pytest.raises(TableError):
        draw_episodes([make_task(50, positives=1)], plan, stream(0))
    assert everyone(draw_episodes([make_task(50, positives=2)], plan, stream(0)))


def test_a_site_without_tasks_is_refused() -> None:
    with pytest.raises(TableError, match="0 task"):
        draw_episodes([], EpisodePlan(), stream(0))


@pytest.mark.parametrize("rows", [2, 3, 5, 10])
def test_few_patients_always_leave_one_for_the_query(make_task: MakeTask, rows: int) -> None:
    plan = EpisodePlan(support=50, query=2, meta_batch=1, prevalence="natural")
    episodes = draw_episodes([make_task(rows)], plan, stream(0))
    assert len(everyone(episodes)) == rows


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


@pytest.mark.parametrize(
    "sizes",
    [{"support": 0}, {"query": 0}, {"meta_batch": 0}, {"support": -3}, {"meta_batch": -1}],
    ids=str,
)
def test_a_plan_without_patients_or_episodes_is_refused(sizes: dict[str, Any]) -> None:
    ((name, value),) = sizes.items()
    with pytest.raises(SettingsError, match=f"{name} is {value} .*give 1 or more"):
        EpisodePlan(**sizes)


def test_images_and_vector_targets_keep_their_shape() -> None:
    x, y = np.ones((6, 1, 4, 4), np.float32), np.arange(12).reshape(6, 2)
    task = Task("images", x, y, np.arange(6))
    plan = EpisodePlan(support=3, query=3, meta_batch=1, prevalence="natural")
    episodes = draw_episodes([task], plan, stream(0))
    assert episodes.support.x.shape == (1, 3, 1, 4, 4)
    assert episodes.support.y.shape == (1, 3, 2)


@pytest.mark.parametrize("other", [np.int64, np.int32], ids=["of one type", "of two types"])
def test_a_site_among_many_draws_what_it_draws_alone(other: type, make_task: MakeTask) -> None:
    plan, tasks = EpisodePlan(meta_batch=3), [make_task(200), make_task(90)]
    second = [Task(t.name, t.x, t.y.astype(other), t.patient) for t in tasks]
    tables = [site_table(tasks), site_table(second)]
    picked, packed = room_for_picked(plan), room_for_packed(2, plan, tables[0])
    draw = ready_to_draw(tables, picked, packed)
    for b, table in enumerate(tables):
        draw(table, False, stream_key("site", b), 7, picked, packed, b)
        alone = draw_episodes(tasks, plan, stream("site", b, counter=7))
        torch.testing.assert_close(
            [part[0] for side in as_episode(packed, slice(b, b + 1), 3, tasks[0]) for part in side],
            [part for side in alone for part in side],
            rtol=0,
            atol=0,
        )
