import numpy as np
import pytest

from common.crypto import ByteStream
from common.errors import SettingsError
from common.privacy.groups import Grouping, draw_groups

GROUPING = Grouping(slots=43, size=4, coin=0.5, tasks=3)


def stream(name: str) -> ByteStream:
    return ByteStream(name.encode().ljust(32))


def test_the_expected_number_of_groups_is_public_arithmetic() -> None:
    # 43 slots make 10 groups of 4; 3 slots idle; half of the groups take part.
    assert (GROUPING.groups, GROUPING.expected) == (10, 5.0)


def test_all_groups_take_part_at_coin_one_and_hold_each_slot_at_most_once() -> None:
    drawn = draw_groups(Grouping(slots=43, size=4, coin=1.0, tasks=3), stream("a"))
    assert drawn.slots.shape == (10, 4)
    assert len(np.unique(drawn.slots)) == 40
    assert set(drawn.task.tolist()) <= {0, 1, 2}


def test_every_round_takes_equally_much_of_the_stream() -> None:
    one, other = stream("a"), stream("a")
    draw_groups(GROUPING, one)
    other.take(8 * (43 + 10 + 10))
    assert one.take(16) == other.take(16)


def test_the_same_stream_gives_the_same_groups_and_another_gives_others() -> None:
    drawn = [draw_groups(GROUPING, stream(name)).slots for name in ("a", "a", "b")]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(("slots", "tasks"), [(3, 1), (8, 0)])
def test_too_few_patients_or_tasks_are_refused(slots: int, tasks: int) -> None:
    with pytest.raises(SettingsError, match="make no group of 4"):
        Grouping(slots=slots, size=4, coin=0.5, tasks=tasks)
