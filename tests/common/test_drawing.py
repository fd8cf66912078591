"""The episodes of a round: nobody twice, shapes that are fixed, the same for the same key."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from common.drawing import (
    as_episode,
    draw_episodes,
    ready_to_draw,
    room_for_packed,
    room_for_picked,
    site_table,
)
from common.episodes import Episode, EpisodePlan, Prevalence, Task
from common.errors import TableError
from common.randomness import stream, stream_key
from tests.common.drawn import everyone, task_of

MakeTask = Callable[..., Task]
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


def drawn(tasks: list[Task], plan: EpisodePlan, seed: int) -> Episode:
    """Return a round's episodes; hypothesis gives other tasks where none can be drawn."""
    try:
        return draw_episodes(tasks, plan, stream(seed))
    except TableError:
        reject()


@given(sites, plans, st.integers(0, 999))
def test_no_patient_stands_twice_in_a_round(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    episodes = drawn(tasks, plan, seed)
    there = everyone(episodes)
    assert len(there) == len(set(there))


@given(sites, plans, st.integers(0, 999))
def test_shapes_are_fixed_and_every_set_holds_somebody(
    tasks: list[Task], plan: EpisodePlan, seed: int
) -> None:
    episodes = drawn(tasks, plan, seed)
    count = len(episodes.support.weight)
    assert 1 <= count <= plan.meta_batch
    for side, size in zip(episodes, (plan.support, plan.query), strict=True):
        assert side.x.shape == (count, size, 1)
        assert side.y.shape == side.weight.shape == (count, size)
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
    episodes = drawn(tasks, plan, seed)
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
    one = drawn(tasks, plan, seed)
    again = draw_episodes(tasks, plan, stream(seed))
    torch.testing.assert_close(again, one, rtol=0, atol=0)


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


def test_a_site_without_tasks_is_refused() -> None:
    with pytest.raises(TableError, match="0 task"):
        draw_episodes([], EpisodePlan(), stream(0))


@pytest.mark.parametrize("rows", [2, 3, 5, 10])
def test_few_patients_always_leave_one_for_the_query(make_task: MakeTask, rows: int) -> None:
    plan = EpisodePlan(support=50, query=2, meta_batch=1, prevalence="natural")
    episodes = draw_episodes([make_task(rows)], plan, stream(0))
    assert len(everyone(episodes)) == rows


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
