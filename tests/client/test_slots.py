import json
from pathlib import Path

import numpy as np
import pytest

from client.slots import IDLE, SlotMap, Slots, seated, take_slots
from common.crypto import ByteStream
from common.errors import PrivacyError, TableError

KEY, STUDY = b"k" * 32, "5" * 64


def stream(seed: int = 0) -> ByteStream:
    return ByteStream(seed.to_bytes(32, "big"))


def take(folder: Path, patients: list[str], slots: int = 12, seed: int = 0) -> Slots:
    return take_slots(folder, KEY, STUDY, patients, slots=slots, random=stream(seed))


def people(*numbers: int) -> list[str]:
    return [f"patient-{number}" for number in numbers]


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def hashes(path: Path) -> set[str]:
    return set(json.loads(path.read_text())["slot"])


def test_a_patient_keeps_its_slot_wherever_its_row_stands(tmp_path: Path) -> None:
    first = take(tmp_path, people(*range(8)))
    assert len(set(first.tolist())) == 8
    assert first.min() >= 0
    assert first.max() < 12
    again = take(tmp_path, people(*reversed(range(8))), seed=1)
    assert again.tolist() == first[::-1].tolist()


def test_one_who_left_leaves_a_slot_that_nobody_has_again(tmp_path: Path) -> None:
    first = take(tmp_path, people(*range(8)))
    without = take(tmp_path, people(0, 1, 2, 4, 5, 6, 7), seed=1)
    assert without.tolist() == np.delete(first, 3).tolist()  # nobody moved up
    # Four slots were never used; the fifth newcomer is idle, though patient 3's slot is empty.
    full = take(tmp_path, people(0, 1, 2, 4, 5, 6, 7, *range(20, 25)), seed=2)
    assert full[:7].tolist() == without.tolist()
    assert sorted(full[7:].tolist())[0] == IDLE
    assert sorted(full[7:].tolist())[1:] == sorted(set(range(12)) - set(first.tolist()))
    returned = take(tmp_path, people(*range(8)), seed=3)
    assert returned[3] == IDLE
    assert first[3] not in returned.tolist()


def test_idle_patients_stay_idle_until_never(tmp_path: Path) -> None:
    first = take(tmp_path, people(*range(20)))
    assert (first == IDLE).sum() == 8
    assert take(tmp_path, people(*range(20)), seed=1).tolist() == first.tolist()


def test_who_sits_where_is_drawn_and_every_seat_is_as_likely() -> None:
    # Patient 0 of 3 over 5 slots, 3000 draws: each expects 600, standard deviation 22.
    counts = np.zeros(5)
    for seed in range(3000):
        counts[seated(SlotMap({}), ["a", "b", "c"], 5, stream(seed)).slot["a"]] += 1
    assert abs(counts - 600).max() < 5 * 22


def test_who_is_idle_is_drawn_too() -> None:
    idle = sum(
        "a" not in seated(SlotMap({}), ["a", "b", "c"], 2, stream(seed)).slot
        for seed in range(3000)
    )
    assert abs(idle - 1000) < 5 * 26  # the first row has no better chance


def test_the_file_names_nobody_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    take(tmp_path / "new", people(1, 2))
    path = the_file(tmp_path / "new")
    assert path.stat().st_mode & 0o077 == 0
    before = path.read_text()
    assert "patient" not in before
    other = tmp_path / "other"
    take_slots(other, b"j" * 32, STUDY, people(1, 2), slots=12, random=stream())
    assert not hashes(path) & hashes(the_file(other))
    take(tmp_path / "new", people(2))  # the hash of whoever left is forgotten
    assert len(hashes(path)) == 1
    path.chmod(0o644)
    with pytest.raises(PrivacyError, match="read by others"):
        take(tmp_path / "new", people(2))


def test_studies_have_maps_of_their_own(tmp_path: Path) -> None:
    take(tmp_path, people(1, 2))
    take_slots(tmp_path, KEY, "6" * 64, people(1, 2), slots=9, random=stream())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_patient_with_two_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="two rows"):
        take(tmp_path, people(1, 2, 1))
    assert not list(tmp_path.iterdir())


def test_a_map_of_another_size_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    take(tmp_path, people(1, 2))
    with pytest.raises(PrivacyError, match="not one of 13 slots"):
        take(tmp_path, people(1, 2), slots=13)
    path = the_file(tmp_path)
    for content in (
        b"",
        b"[]",
        b'{"v": 1, "slots": 12, "slot": {"a": 3, "b": 3}, "left": []}',
        b'{"v": 1, "slots": 12, "slot": {"a": 3}, "left": [3]}',
        b'{"v": 1, "slots": 12, "slot": {"a": 12}, "left": []}',
        b'{"v": 1, "slots": 12, "slot": {"a": "3"}, "left": []}',
    ):
        path.write_bytes(content)
        with pytest.raises(PrivacyError, match="damaged"):
            take(tmp_path, people(1, 2))
