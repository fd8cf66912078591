"""A site that is killed between being asked and having sent, or not alone; run as a program.

Each command works in a folder that holds a ledger with one reserved study, and appends to `sent`
whatever leaves the site. Forking needs a process without threads, so tests start this one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from client.ledger import Ledger
from client.stored import Key, Vector, keep, resend
from common.errors import PrivacyError

ROOT = Path(__file__).parents[2]
WATCHED = tuple(
    str(ROOT / part) for part in ("client/", "common/files.py", "tests/client/crash.py")
)
THETA = "ab" * 32


def release(folder: Path, about: dict[str, Any], index: int) -> None:
    """Answer a round from the start, as after a crash."""
    answer(folder, about, index, opened(folder, about))


def answer(folder: Path, about: dict[str, Any], index: int, ledger: Ledger) -> None:
    """Answer a round as a site does: pay, draw, store, send; or send what is stored."""
    key = Key("run-1", index, THETA)
    vector = resend(folder / "releases", key)
    if vector is None:
        seq = pay(ledger, about, key)
        vector = draw()
        keep(folder / "releases", key, vector, debit=seq)
    send(folder, vector)


def pay(ledger: Ledger, about: dict[str, Any], key: Key) -> int:
    return ledger.debit(
        "gradient",
        study=about["study"],
        run=key.run,
        round_index=key.round_index,
        theta_sha256=key.theta_sha256,
        parameters=about["parameters"],
    )


def draw() -> Vector:
    return np.frombuffer(os.urandom(16), dtype=np.int64)


def send(folder: Path, vector: Vector) -> None:
    with (folder / "sent").open("ab", buffering=0) as file:
        file.write(vector.tobytes())


def opened(folder: Path, about: dict[str, Any]) -> Ledger:
    return Ledger.open(folder, bytes.fromhex(about["identity"]), lambda: about["now"])


def sent(folder: Path) -> int:
    """Return how many different releases left."""
    data = (folder / "sent").read_bytes() if (folder / "sent").exists() else b""
    return len({data[i : i + 16] for i in range(0, len(data), 16)})


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_line(number: int) -> Callable[..., Any]:
    """Return a trace function that kills the process before the watched line with this number."""
    passed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal passed
        if not frame.f_code.co_filename.startswith(WATCHED):
            return None
        passed += event == "line"
        if passed > number:
            die()
        return trace

    return trace


def killed_after_bytes(count: int) -> Callable[..., int]:
    """Return an os.write that writes so many bytes, and is the process's last act."""
    write = os.write

    def torn(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:count])
        die()
        return 0

    return torn


def in_child(act: Callable[[], None]) -> bool:
    """Return whether a forked child lived through the act."""
    child = os.fork()
    if not child:
        act()
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def tried(folder: Path, about: dict[str, Any], act: Callable[[Path], None]) -> dict[str, int]:
    """Return what became of one attempt in a copy of the folder, and of asking again after it."""
    copy = folder.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    lived = in_child(lambda: act(copy))
    first = {"lived": int(lived), "sent_at_once": sent(copy)}
    release(copy, about, 0)
    debits = opened(copy, about).debits(about["study"], "gradient")
    return first | {"sent": sent(copy), "debits": debits}


def sweep(folder: Path, about: dict[str, Any]) -> list[dict[str, int]]:
    """Kill an attempt before each line in turn, until one lives."""
    found: list[dict[str, int]] = []
    while not (found and found[-1]["lived"]):

        def act(copy: Path, number: int = len(found)) -> None:
            ledger = opened(copy, about)
            sys.settrace(killed_at_line(number))
            answer(copy, about, 0, ledger)
            sys.settrace(None)

        found.append(tried(folder, about, act))
    return found


def tear(folder: Path, about: dict[str, Any]) -> list[dict[str, int]]:
    """Kill an attempt after each 37th byte of its debit in turn."""

    def act_at(count: int) -> Callable[[Path], None]:
        def act(copy: Path) -> None:
            os.write = killed_after_bytes(count)
            release(copy, about, 0)

        return act

    return [tried(folder, about, act_at(count)) for count in range(0, 800, 37)]


def go_on(folder: Path, about: dict[str, Any]) -> None:
    """Answer round after round, in the first of which nothing was sent, until killed."""
    for index in range(about["from"], 10_000):
        release(folder, about, index)


def spend(folder: Path, about: dict[str, Any]) -> int:
    """Return how many of sixty rounds of a run could be paid for, beside another process."""
    ledger, paid = opened(folder, about), 0
    meet(folder, about["run"])
    for index in range(60):
        with suppress(PrivacyError):
            pay(ledger, about, Key(about["run"], index, THETA))
            paid += 1
    return paid


def meet(folder: Path, name: str) -> None:
    """Return once two processes are here, so that neither is done before the other begins."""
    (folder / f"{name}.here").touch()
    limit = time.monotonic() + 30
    while len(list(folder.glob("*.here"))) < 2:
        assert time.monotonic() < limit, "the other process does not come"
        time.sleep(0.001)


def program(*arguments: str) -> "subprocess.Popen[str]":
    """Start this file."""
    command, pipe = [sys.executable, __file__, *arguments], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


if __name__ == "__main__":
    command, place, given = sys.argv[1:]
    commands = {"sweep": sweep, "tear": tear, "go-on": go_on, "spend": spend}
    done = commands[command](Path(place), json.loads(given))
    sys.stdout.write(json.dumps(done))
