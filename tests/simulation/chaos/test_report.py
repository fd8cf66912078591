from typing import Any

from simulation.chaos.report import failures, table

ROW: dict[str, Any] = {
    "seed": 4, "kind": "kill edge", "site": "", "after": 2, "hit": True, "by_hand": 0, "extra": 3.2,
    "finished": True, "dropped": False, "identical": True, "explained": True, "broken": "",
    "good": True,
}  # fmt: skip
LOST = ROW | {"seed": 25, "finished": False, "identical": False, "good": False, "extra": 280.0}


def test_a_lost_case_is_counted_and_named_with_its_seed() -> None:
    assert "| kill edge | 2 | 1 | 1 | 0, 0 | 0 | 142 | 280 |" in table([ROW, LOST])
    assert failures([ROW, LOST]) == "LOST seed 25: kill edge centre after round 2: not finished"


def test_a_fault_that_found_nothing_to_hit_is_told() -> None:
    assert failures([ROW | {"hit": False}]).startswith("missed seed 4")
