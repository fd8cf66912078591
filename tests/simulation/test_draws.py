import numpy as np
import pytest

from common.episodes import Task
from simulation.draws import DrawnTask, draw
from simulation.scenarios import HeldOut


def held_out(negative: int, positive: int) -> HeldOut:
    n = negative + positive
    x = np.arange(n, dtype=np.float32)[:, None]
    y = np.repeat([0, 1], [negative, positive]).astype(np.int64)
    return HeldOut("Ash", Task("gout", x, y, np.arange(n)))


@pytest.fixture
def drawn() -> DrawnTask:
    found = draw(held_out(60, 20), draws=6, min_per_class=8, seed=0)
    assert isinstance(found, DrawnTask)
    return found


def test_labelled_patients_are_never_judged(drawn: DrawnTask) -> None:
    judged = set(drawn.test.tolist())
    assert len(judged) == 40
    for orders in (drawn.orders, *drawn.per_class):
        assert not judged & set(orders.ravel().tolist())


def test_both_halves_keep_the_prevalence(drawn: DrawnTask) -> None:
    assert drawn.test_y.mean() == 0.25
    _, y = drawn.support(drawn.pool)
    assert y.float().mean() == 0.25


def test_draws_are_nested_in_k_and_differ(drawn: DrawnTask) -> None:
    small, large = drawn.support(5)[0], drawn.support(20)[0]
    assert (large[:, :5] == small).all()
    assert len({tuple(row) for row in drawn.orders.tolist()}) == 6
    assert all(len(set(row)) == drawn.pool for row in drawn.orders.tolist())


def test_a_balanced_support_holds_k_of_each_class(drawn: DrawnTask) -> None:
    _, y = drawn.balanced_support(3)
    assert y.sum(1).tolist() == [3] * 6
    assert y.shape == (6, 6)


def test_the_same_seed_gives_the_same_draws_and_another_does_not() -> None:
    a, b, c = (draw(held_out(60, 20), draws=3, min_per_class=8, seed=s) for s in (1, 1, 2))
    assert isinstance(a, DrawnTask)
    assert isinstance(b, DrawnTask)
    assert isinstance(c, DrawnTask)
    assert (a.orders == b.orders).all()
    assert (a.test != c.test).any()


def test_too_few_of_a_class_is_said_and_not_scored() -> None:
    assert draw(held_out(60, 10), draws=3, min_per_class=8, seed=0) == (
        "5 of the rarer class among test patients, 8 are needed"
    )
