"""What people want of a run, and how it stands: two small files in its folder, and who runs it.

`control.json` is written by whoever coordinates the study and read between rounds; `status.json`
is written by the run. Neither holds its state: a run that is killed goes on from its checkpoint.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from common.errors import QuorumNotReached, RunFolderError, RunStopped, WardroundError
from common.files import write_atomically

CONTROL_FILE, STATUS_FILE, LOCK_FILE = "control.json", "status.json", "run.lock"
Wish = Literal["run", "pause", "stop"]
Phase = Literal["roll call", "running", "paused", "below quorum", "stopped", "finished", "failed"]
POLL_S, PATIENCE_S = 0.2, 60.0
OFTEN_S = 0.5
"""A status that has changed by a round only is not written more often."""


class Status(NamedTuple):
    """How a run stands. since: of the phase, updated: of this status, Unix time. why: in words.

    pid, birth: of the process that wrote it; birth is empty where that cannot be known.
    """

    phase: Phase
    round_index: int
    rounds: int
    why: str
    pid: int
    since: float
    updated: float
    birth: str = ""

    @property
    def mark(self) -> list[float]:
        """What tells it from any other one: no order in time, for a clock may be set back."""
        return [self.pid, self.since, self.updated]

    @property
    def alive(self) -> bool:
        """Whether the process that wrote this is still there, and no other with its pid."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        state, birth = _life(self.pid)
        return state != "Z" and (not birth or not self.birth or birth == self.birth)


def _life(pid: int) -> tuple[str, str]:
    """Return a process's state and birth, or twice nothing where /proc does not tell (not Linux).

    State Z: it has ended and nobody has asked how, as SuperExec never does. Birth: the boot's id
    and the ticks from there to its start (proc(5), field 22). Pids repeat: in a container that is
    started again the same part has the same one.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = stat.rpartition(")")[2].split()
        return fields[0], f"{boot} {fields[19]}"
    except (OSError, IndexError):
        return "", ""


def set_wish(folder: Path, wish: Wish) -> None:
    """Say what the run in a folder is to do after its present round."""
    write_atomically(folder / CONTROL_FILE, json.dumps({"wish": wish}).encode())


def read_wish(folder: Path) -> Wish:
    """Return what the run is to do: go on, if nothing was said.

    Raises:
        RunFolderError: the file says something else.
    """
    path = folder / CONTROL_FILE
    if not path.exists():
        return "run"
    try:
        found = json.loads(path.read_bytes())["wish"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(path) from error
    if found not in get_args(Wish):
        raise _unreadable(path)
    wish: Wish = found
    return wish


def read_status(folder: Path) -> Status | None:
    """Return how the run in a folder stands, or None: it was never started.

    Raises:
        RunFolderError: the file is damaged.
    """
    path = folder / STATUS_FILE
    if not path.exists():
        return None
    try:
        return Status(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise _unreadable(path) from error


@contextmanager
def alone(folder: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold a run's folder for this process; one that holds it, and is given up, is waited for.

    Flower may take a run's process for dead that goes on, as after a jump of the clock.

    Raises:
        RunFolderError: another process still runs it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience_s
    try:
        while not _locked(descriptor):
            if time.monotonic() >= end:
                raise RunFolderError(
                    "another process runs this", where=str(folder), remedy="end it, then resume"
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_END: dict[type[BaseException], Phase] = {
    QuorumNotReached: "below quorum",
    RunStopped: "stopped",
    KeyboardInterrupt: "stopped",
}


@dataclass
class Progress:
    """Keeps a run's status, and holds the run where a person wants it held."""

    folder: Path
    rounds: int
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    said: Status | None = None

    def say(self, phase: Phase, round_index: int, why: str = "") -> None:
        """Write down how the run stands; of fast rounds in one phase not every one."""
        now, said = self.clock(), self.said
        same = said is not None and said.phase == phase
        if same and said and 0 <= now - said.updated < OFTEN_S:  # a clock may be set back
            return
        since = said.since if same and said else now
        pid = os.getpid()
        birth = _life(pid)[1]
        self.said = Status(phase, round_index, self.rounds, why, pid, since, now, birth)
        text = json.dumps(self.said._asdict()).encode()
        write_atomically(self.folder / STATUS_FILE, text)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Write down how the block ends, whatever ends it; a stop that was obeyed is over."""
        self.say("roll call", 0)
        try:
            yield
        except BaseException as error:
            phase = _END.get(type(error), "failed")
            why = error.what if isinstance(error, WardroundError) else type(error).__name__
            self.say(phase, self._last, why)
            if isinstance(error, RunStopped):  # and no other end: who asked for it is still owed it
                set_wish(self.folder, "run")
            raise
        self.say("finished", self._last)

    @property
    def _last(self) -> int:
        return self.said.round_index if self.said else 0

    def hold(self, round_index: int) -> None:
        """Return when the run may begin its next round; waits as long as it is to pause.

        Raises:
            RunStopped: it is to end here; its checkpoint is on the disk.
        """
        while (wish := read_wish(self.folder)) == "pause":
            if self.said is None or self.said.phase != "paused":
                self.say("paused", round_index, "a person asked for it")
            self.sleep(POLL_S)
        if wish == "stop":
            raise RunStopped(
                f"stopped after round {round_index}",
                where=str(self.folder),
                remedy="resume goes on from there",
            )
        self.say("running", round_index)


def _unreadable(path: Path) -> RunFolderError:
    return RunFolderError("the file cannot be read", where=str(path), remedy="remove it")
