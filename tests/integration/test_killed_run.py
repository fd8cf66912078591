"""A private run that is killed at writes to the disk ends as one that never was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_private_hospitals import ROUNDS, hospitals, masked_study

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "killed_run.py"
CASES = 4
TOLERANCE = 1e-6
"""A process that has compiled its code itself may differ from one that has loaded it by a bit."""


@pytest.mark.parametrize("profile", ["robust", "masked"])
def test_killed_at_drawn_writes_a_run_learns_the_same_and_every_release_is_paid_for(
    tmp_path: Path, profile: str
) -> None:
    plan: dict[str, Any] = {
        "profile": profile,
        "clip_norm": 0.5,
        "noise_multiplier": 20.0,
        "coin": 1.0,
        "delta": 1e-3,
        "spare_rounds": 20,
    }
    if profile == "robust":
        plan |= {"aggregation": "centred-clipping"}
    server = {"rounds": ROUNDS, "optimizer": "sgd", "meta_lr": 0.1, "deadline_s": 5}
    hospitals(tmp_path / "template", masked_study(privacy=plan, server=server))
    found = killed_runs(tmp_path)
    assert len(found) == CASES
    for case in found:
        assert case["off"] < TOLERANCE, case
        assert case["closed"] == ROUNDS, case
        assert not case["unpaid"], case
        assert case["lived"][-1], case
    assert sum(lived.count(False) for lived in (case["lived"] for case in found)) >= CASES


def killed_runs(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(CASES), "0"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
