"""`make federation`: every command that a person would type, from nothing to a trained study."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.gate.audit import AuditLog
from server.control import read_status
from tests.e2e.conftest import ROOT

HOSPITALS = ("ash", "birch", "cedar", "elm")


@pytest.mark.e2e
def test_four_hospitals_join_approve_and_train_and_nothing_is_left_running(tmp_path: Path) -> None:
    folder = tmp_path / "federation"
    done = subprocess.run(
        [sys.executable, "-m", "simulation.federation_demo", "--output", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (run,) = (folder / "coordinator" / "runs").iterdir()
    status = read_status(run)
    assert status is not None
    assert (status.phase, status.round_index) == ("finished", 10)
    records = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    assert all(record["accepted"] for record in records if record["closed"])
    for site in HOSPITALS:
        lines = (folder / site / "state" / "ledger.jsonl").read_text().splitlines()
        debits = [line for line in lines if '"kind":"gradient"' in line]
        assert 10 <= len(debits) <= 15
        assert len(AuditLog.open(folder / site / "state").lines) > 20
    assert not _left(folder)


def _left(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in words and str(os.getpid()) != path.parent.name:
            found.append(words)
    return found
