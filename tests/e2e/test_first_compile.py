"""What a process has compiled itself gives the same bits as what the next one finds compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib
import wardround as wr
from common.parameters import flatten

hospitals = wr.hospitals("thyroid", scenario="few-shot", held_out=["SVI"])
for name in ("maml", "fedavg"):
    run = wr.federate(name, hospitals, rounds=20, workers=1)
    print(hashlib.sha256(flatten(run.theta).numpy().tobytes()).hexdigest())
"""


def learned(cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout


@pytest.mark.e2e
def test_the_first_process_on_a_machine_learns_what_all_others_learn(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    first = learned(tmp_path)
    assert any(tmp_path.rglob("*.nbc")), "nothing was compiled, so nothing is compared"
    assert first == learned(tmp_path)
