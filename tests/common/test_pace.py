import pytest

from common.pace import Pace


def asked(pace: Pace, after_s: float) -> tuple[int, float]:
    """Return how often was asked until an answer of `after_s`, and when it was found."""
    clock, count = 0.0, 0
    while clock < after_s:
        clock, count = clock + pace.next(), count + 1
    pace.reset()
    return count, clock


def test_waits_begin_short_and_end_long() -> None:
    pace = Pace(0.05, 3.0)
    waits = [pace.next() for _ in range(40)]
    assert waits[0] == 0.05
    assert waits == sorted(waits)
    assert waits[-1] == 3.0
    pace.reset()
    pace.reset()  # a second answer at once changes nothing
    assert pace.next() <= 0.5


def test_an_idle_hour_costs_hardly_more_questions_than_one_every_three_seconds() -> None:
    # 3600 s / 3 s = 1200; the first quarter of a minute is asked through more closely.
    count, _ = asked(Pace(0.05, 3.0), 3600)
    assert 1200 <= count <= 1225


@pytest.mark.parametrize("gap", [0.3, 1.0])
def test_who_is_answered_again_and_again_asks_a_few_times_for_each_answer(gap: float) -> None:
    pace = Pace(0.05, 3.0)
    asked(pace, gap)
    for _ in range(20):
        count, found = asked(pace, gap)
        assert count <= 5
        assert found <= gap * 1.25 + 0.05


def test_after_a_long_pause_nobody_is_kept_waiting_for_long() -> None:
    pace = Pace(0.05, 3.0)
    asked(pace, 3600)
    assert asked(pace, 0.01)[1] <= 0.5
    assert asked(pace, 0.01)[1] <= 0.25
    for _ in range(4):
        asked(pace, 0.01)
    assert asked(pace, 0.01)[1] <= 0.05
