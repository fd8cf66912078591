"""The processes of a federation in one folder: started, found by their part, ended by their ids."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
WARDROUND = [sys.executable, "-c", "from common.cli import main; main()"]


def environment(folder: Path, code: Path = ROOT) -> dict[str, str]:
    """Return what our commands are started with: this checkout, no proxy, Flower's home here."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    own = {"PYTHONPATH": str(code), "FLWR_HOME": str(folder / "flwr"), "OMP_NUM_THREADS": "1"}
    return kept | own


def command(folder: Path, *words: str, seconds: float = 180.0) -> str:
    """Run a command of ours in the folder and return what it printed.

    Raises:
        RuntimeError: it failed.
        TimeoutExpired: it took longer.
    """
    done = subprocess.run(  # noqa: S603 (our own commands)
        [*WARDROUND, *words], cwd=folder, env=environment(folder), capture_output=True,
        text=True, check=False, timeout=seconds,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"wardround {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def launch(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a command of ours that stays; what it prints is added to NAME.log."""
    return launch_program(folder, name, (*WARDROUND, *words))


def launch_program(
    folder: Path, name: str, program: Sequence[str], *, code: Path = ROOT
) -> subprocess.Popen[bytes]:
    """Start a program that stays, with our packages from `code`; its output goes to NAME.log."""
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (our own programs)
            program, cwd=folder, env=environment(folder, code),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def end(process: "subprocess.Popen[bytes]", seconds: float = 20.0) -> None:
    """Ask a process to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    there: Callable[[], bool], what: str, *, seconds: float = 240.0, every_s: float = 0.1
) -> None:
    """Wait until something is the case.

    Raises:
        RuntimeError: it is not, after so many seconds.
    """
    limit = time.monotonic() + seconds
    while not there():
        if time.monotonic() > limit:
            raise RuntimeError(f"{what}: not after {seconds:g} s")
        time.sleep(every_s)


def child_of(parent: int, *marks: str) -> int:
    """Return the pid of a process's own child whose command line has all the marks, or 0."""
    for pid in _pids():
        with suppress(OSError, ValueError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if _parent(pid) == parent and set(marks) <= set(words):
                return pid
    return 0


def send(pid: int, number: signal.Signals) -> bool:
    """Signal a process; return whether it was there."""
    if not pid:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def of_folder(folder: Path) -> Iterator[int]:
    """Yield the ids of all processes whose FLWR_HOME is in the folder."""
    mark = f"FLWR_HOME={folder}/".encode()
    for pid in _pids():
        with suppress(OSError):
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if any(entry.startswith(mark) for entry in entries):
                yield pid


def orphans(folder: Path, roots: Collection[int]) -> list[int]:
    """Return the folder's processes that descend from none of these: nobody looks after them."""
    return [pid for pid in of_folder(folder) if not _descends(pid, roots)]


def end_leftovers(folder: Path) -> Sequence[int]:
    """End by their ids all processes whose FLWR_HOME is in the folder; return the ids."""
    return [pid for pid in of_folder(folder) if send(pid, signal.SIGKILL)]


def _descends(pid: int, roots: Collection[int]) -> bool:
    while pid > 1 and pid not in roots:
        try:
            pid = _parent(pid)
        except (OSError, ValueError):
            return True  # it has ended meanwhile
    return pid in roots


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(stat[1])
