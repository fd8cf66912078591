import stat
from pathlib import Path

import numpy as np
import pytest

from client.slots import IDLE, assign_slots
from common.errors import PrivacyError

KEY = bytes(range(32))


def assign(folder: Path, *names: str, slots: int = 6) -> list[int]:
    found: list[int] = assign_slots(folder, "f" * 64, names, slots=slots, key=KEY).tolist()
    return found


def test_a_patient_keeps_the_slot_whatever_else_is_in_the_table(tmp_path: Path) -> None:
    a, b, c = assign(tmp_path, "a", "b", "c")
    assert len({a, b, c}) == 3
    assert assign(tmp_path, "c", "x", "a")[::2] == [c, a]


def test_a_slot_that_was_left_is_never_given_again(tmp_path: Path) -> None:
    first = assign(tmp_path, "a", "b", "c")
    second = assign(tmp_path, "d", "e", "f")
    assert set(first) | set(second) == set(range(6))
    assert assign(tmp_path, "g", "a") == [IDLE, first[0]]


def test_more_patients_than_slots_leave_some_idle(tmp_path: Path) -> None:
    slots = assign(tmp_path, *"abcdefgh")
    assert sorted(slots) == [IDLE, IDLE, 0, 1, 2, 3, 4, 5]


def test_slots_are_given_at_random(tmp_path: Path) -> None:
    found = [assign(tmp_path / str(i), "a", slots=100)[0] for i in range(20)]
    assert len(set(found)) > 5


def test_the_file_names_no_patient_and_is_the_owners_alone(tmp_path: Path) -> None:
    assign(tmp_path, "Mrs Smith")
    (path,) = tmp_path.glob("slots-*.json")
    assert "Smith" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", '{"slots": 6, "taken": {"a": 1, "b": 1}}', "[]"])
def test_a_damaged_file_and_another_number_of_slots_are_refused(text: str, tmp_path: Path) -> None:
    assign(tmp_path, "a")
    with pytest.raises(PrivacyError, match="other"):
        assign(tmp_path, "a", slots=7)
    (path,) = tmp_path.glob("slots-*.json")
    path.write_text(text)
    with pytest.raises(PrivacyError, match="damaged"):
        assign(tmp_path, "a")


def test_numbers_serve_as_names_too(tmp_path: Path) -> None:
    numbers = assign_slots(tmp_path, "f" * 64, ["1", "2"], slots=6, key=KEY)
    assert np.array_equal(numbers, assign(tmp_path, "1", "2"))
