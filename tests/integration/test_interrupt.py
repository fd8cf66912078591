"""Ctrl-C ends a run with its checkpoint whole and its workers gone; `--resume` loses nothing."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from simulation.bench.measure import descendants

ROUNDS = 1000
# A shell that starts the tests in the background has them, and their children, ignore Ctrl-C.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from common.cli import main
main()
"""
COMMAND = [sys.executable, "-c", PROGRAM, "simulate"]


def start(*options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(*options: object) -> None:
    run = start(*options)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 0, err


def wait_for_rounds(folder: Path, number: int, run: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and run.poll() is None:
        path = folder / "rounds.jsonl"
        if path.exists() and path.read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.01)
    raise AssertionError("the rounds never came")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux")
def test_ctrl_c_leaves_a_whole_checkpoint_and_no_worker_and_resume_loses_nothing(
    wards: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    settings = wards(server={"rounds": ROUNDS})
    options = ["--dataset", "table", "--study", settings["study"], "--data", settings["data"]]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    run = start(*options, "--workers", 2, "--output", stopped)
    wait_for_rounds(stopped, 5, run)
    workers = descendants(run.pid)
    assert len(workers) == 2
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err.rstrip().endswith("--resume goes on from the last round")
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert (stopped / "rounds.jsonl").read_bytes().count(b"\n") < ROUNDS

    finish("--output", stopped, "--resume")
    finish(*options, "--workers", 1, "--output", whole)
    a, b = (load_file(f / "initialization.safetensors") for f in (stopped, whole))
    assert all(torch.equal(a[name], b[name]) for name in a)
