"""A person's wish is kept between rounds, and a run says how it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import QuorumNotReached, RunFolderError, RunStopped
from server.control import (
    CONTROL_FILE,
    LOCK_FILE,
    STATUS_FILE,
    Progress,
    Status,
    alone,
    read_status,
    read_wish,
    set_wish,
)


def test_a_run_goes_on_if_nobody_has_said_anything(tmp_path: Path) -> None:
    assert read_wish(tmp_path) == "run"
    assert read_status(tmp_path) is None
    Progress(tmp_path, 9).hold(3)
    status = read_status(tmp_path)
    assert status is not None
    assert (status.phase, status.round_index, status.rounds) == ("running", 3, 9)
    assert status.pid == os.getpid()
    assert status.alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_process_that_was_killed_and_not_waited_for_is_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        status = Status("running", 3, 9, "", process.pid, 0.0, 0.0)
        assert status.alive
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not status.alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_another_process_with_the_same_pid_is_not_taken_for_the_run(tmp_path: Path) -> None:
    Progress(tmp_path, 9).say("running", 3)
    status = read_status(tmp_path)
    assert status is not None
    boot, ticks = status.birth.split()
    assert not status._replace(birth=f"{boot} {int(ticks) - 1}").alive
    assert not status._replace(birth=f"{boot[::-1]} {ticks}").alive
    assert status._replace(birth="").alive  # of an older version: by its pid alone


def test_a_paused_run_waits_until_it_is_resumed(tmp_path: Path) -> None:
    slept: list[str] = []

    def sleep(seconds: float) -> None:
        status = read_status(tmp_path)
        slept.append(status.phase if status else "")
        if len(slept) == 3:
            set_wish(tmp_path, "run")

    set_wish(tmp_path, "pause")
    progress = Progress(tmp_path, 9, sleep=sleep)
    progress.hold(4)
    assert slept == ["paused"] * 3
    assert progress.said is not None
    assert progress.said.phase == "running"


def test_a_stopped_run_ends_with_its_round_and_a_remedy(tmp_path: Path) -> None:
    set_wish(tmp_path, "stop")
    with pytest.raises(RunStopped, match=r"stopped after round 5.*resume"):
        Progress(tmp_path, 9).hold(5)


def test_since_is_the_beginning_of_the_phase(tmp_path: Path) -> None:
    now = iter([1.0, 2.0, 2.1, 3.0])
    progress = Progress(tmp_path, 9, clock=lambda: next(now))
    progress.say("running", 1)
    progress.say("running", 2)
    progress.say("running", 3)  # too soon to be worth writing
    assert progress.said is not None
    assert (progress.said.since, progress.said.updated, progress.said.round_index) == (1.0, 2.0, 2)
    progress.say("finished", 3)
    assert progress.said.since == 3.0


@pytest.mark.parametrize("text", ["", "{}", '{"wish": "burn"}', "[1]"])
def test_a_damaged_wish_is_an_error_and_no_guess(text: str, tmp_path: Path) -> None:
    (tmp_path / CONTROL_FILE).write_text(text)
    with pytest.raises(RunFolderError):
        read_wish(tmp_path)


def test_a_damaged_status_is_an_error(tmp_path: Path) -> None:
    (tmp_path / STATUS_FILE).write_text('{"phase": "running"}')
    with pytest.raises(RunFolderError):
        read_status(tmp_path)


def test_a_process_that_is_gone_is_not_alive(tmp_path: Path) -> None:
    progress = Progress(tmp_path, 9)
    progress.say("running", 1)
    assert progress.said is not None
    assert not progress.said._replace(pid=2**22 - 1).alive


@pytest.mark.parametrize(
    ("error", "phase", "why"),
    [
        (QuorumNotReached("1 of 3", where="round 2", remedy="wait"), "below quorum", "1 of 3"),
        (RunStopped("stopped", where="x", remedy="resume"), "stopped", "stopped"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
        (ValueError("a secret"), "failed", "ValueError"),
    ],
)
def test_how_a_run_ends_is_told_in_our_own_words(
    error: BaseException, phase: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), Progress(tmp_path, 9).told():
        raise error
    status = read_status(tmp_path)
    assert status is not None
    assert (status.phase, status.why) == (phase, why)


def test_a_stop_that_was_obeyed_is_over_and_the_run_can_be_started_again(tmp_path: Path) -> None:
    set_wish(tmp_path, "stop")
    progress = Progress(tmp_path, 9)
    with pytest.raises(RunStopped), progress.told():
        progress.hold(5)
    assert read_wish(tmp_path) == "run"


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), ValueError()])
def test_a_stop_that_nobody_has_obeyed_yet_stays(tmp_path: Path, error: BaseException) -> None:
    set_wish(tmp_path, "stop")
    with pytest.raises(type(error)), Progress(tmp_path, 9).told():
        raise error
    assert read_wish(tmp_path) == "stop"


def test_a_status_is_written_on_though_the_clock_is_set_back(tmp_path: Path) -> None:
    now = [1000.0]
    progress = Progress(tmp_path, 9, clock=lambda: now[0])
    progress.hold(1)
    now[0] = 900.0
    progress.hold(2)
    status = read_status(tmp_path)
    assert status is not None
    assert status.round_index == 2


HOLDER = """
import sys
from pathlib import Path
from server.control import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_run_the_same_and_one_that_is_killed_holds_nothing(
    tmp_path: Path,
) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match="another process"), alone(tmp_path, patience_s=0):
            pass
        other.kill()
        with alone(tmp_path, patience_s=30):
            assert (tmp_path / LOCK_FILE).exists()
    with alone(tmp_path, patience_s=0):
        pass
