"""Two quick cases of `make chaos`: the ServerApp is killed, SuperExec frozen, in mid-run."""

import time
from pathlib import Path

import pytest

from simulation.chaos.__main__ import play
from simulation.chaos.cases import FREEZE, KILL, SERVERAPP, SUPEREXEC, draw_case
from simulation.chaos.federation import ROUNDS, SITES
from simulation.chaos.processes import end_leftovers

SEEDS = (3, 14)


@pytest.mark.e2e
def test_a_run_survives_and_learns_the_same(tmp_path: Path) -> None:
    cases = [draw_case(seed, SITES, ROUNDS) for seed in SEEDS]
    assert [(case.fault, case.part) for case in cases] == [(KILL, SERVERAPP), (FREEZE, SUPEREXEC)]
    rows = list(play(tmp_path, cases, until=time.monotonic() + 600))
    assert [row.verdict.good for row in rows] == [True, True]
    assert all(row.hit for row in rows)
    assert not end_leftovers(tmp_path)
