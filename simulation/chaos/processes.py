"""The processes of a federation in one folder: started, found by their part, ended by their ids."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from simulation.federation_demo import WARDROUND

ROOT = Path(__file__).parents[2]


def environment(folder: Path) -> dict[str, str]:
    """Return what our commands are started with: this checkout, no proxy, Flower's home here."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    own = {"PYTHONPATH": str(ROOT), "FLWR_HOME": str(folder / "flwr"), "OMP_NUM_THREADS": "1"}
    return kept | own


def command(folder: Path, *words: str) -> str:
    """Run a command of ours in the folder and return what it printed.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(  # noqa: S603 (our own commands)
        [*WARDROUND, *words], cwd=folder, env=environment(folder), capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"wardround {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def launch(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a command of ours that stays; what it prints is added to NAME.log."""
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (our own commands)
            [*WARDROUND, *words], cwd=folder, env=environment(folder),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def end(process: "subprocess.Popen[bytes]", seconds: float = 15.0) -> None:
    """Ask a process to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def child_of(parent: int, *marks: str) -> int:
    """Return the pid of a process's own child whose command line has all the marks, or 0."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if int(stat[1]) == parent and set(marks) <= set(words):
                return int(path.name)
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


def end_leftovers(folder: Path) -> Sequence[int]:
    """End by their ids all processes whose FLWR_HOME is in the folder; return the ids."""
    mark, ended = f"FLWR_HOME={folder}/".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if any(entry.startswith(mark) for entry in path.read_bytes().split(b"\0")):
                os.kill(int(path.parent.name), signal.SIGKILL)
                ended.append(int(path.parent.name))
    return ended
