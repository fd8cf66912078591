"""Cases of `make chaos` with real processes: the ServerApp is killed, an executor frozen."""

import time
from pathlib import Path

import pytest

from simulation.chaos.__main__ import play
from simulation.chaos.cases import EXECUTOR, FREEZE, KILL, SERVERAPP, draw_case
from simulation.processes import end_leftovers

SEEDS = (3, 54)


@pytest.mark.e2e
def test_a_run_survives_and_learns_the_same(tmp_path: Path) -> None:
    cases = [draw_case(seed) for seed in SEEDS]
    assert [(c.kind, c.profile) for c in cases] == [
        (f"{KILL} {SERVERAPP}", "none"),
        (f"{FREEZE} {EXECUTOR}", "robust"),
    ]
    rows = list(play(tmp_path, cases, jobs=1, until=time.monotonic() + 900))
    assert [row.verdict.good for row in rows] == [True, True]
    assert all(row.hit for row in rows)
    assert not end_leftovers(tmp_path)
