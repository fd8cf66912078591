import json
from pathlib import Path
from typing import Any

import pytest

from simulation.chaos.report import failures, main, table

ROW: dict[str, Any] = {
    "seed": 4, "profile": "none", "kind": "kill edge", "after": 2, "hit": True, "by_hand": 0,
    "extra": 3.2, "finished": True, "dropped": False, "identical": True, "explained": True,
    "broken": "", "good": True,
}  # fmt: skip
LOST = ROW | {"seed": 25, "finished": False, "identical": False, "good": False, "extra": 280.0}


def test_a_lost_case_is_counted_and_named_with_its_seed() -> None:
    assert "| kill edge | 2 | 1 | 1 | 1 | 0, 0 | 0 | 142 | 280 |" in table([ROW, LOST])
    assert "| none | 2 | 1 |" in table([ROW, LOST])
    assert failures([ROW, LOST]) == "LOST seed 25: kill edge, none, after round 2: not finished"


def test_a_fault_that_found_nothing_to_hit_is_told() -> None:
    assert failures([ROW | {"hit": False}]).startswith("missed seed 4")


def test_cases_of_several_files_are_added_up_and_none_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, row in (("first", LOST), ("again", LOST | ROW | {"seed": 25})):
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    assert main([str(tmp_path / "first"), str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out
    assert "| all | 2 | 1 |" in said
    assert "LOST seed 25" in said
