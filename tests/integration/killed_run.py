"""A whole private federation in one process, killed at drawn writes to the disk; run as a program.

    python tests/integration/killed_run.py FOLDER CASES SEED

FOLDER/template holds the hospitals of a study. They and a server share the process: whoever writes,
all die with it. What is on the disk then is gone on with, which may be killed too. Forking needs a
process without threads, so tests start this one. It prints a line of JSON for each case.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context, RecordDict

import simulation.chaos.wiring  # noqa: F401 (noise that can be computed again)
from client.app import app as client_app
from client.lines import AUDIT_BOOK, LEDGER_BOOK
from client.site import open_site
from common.learner import make_learner
from common.randomness import generator
from common.study import Study, read_study
from server.app import app as server_app
from server.state import RECORDS_FILE, STATE_FILE, load_state, read_records
from simulation.chaos.ledgers import Release, read_book, undercounted
from simulation.grid import InProcessGrid

WATCHED = ("fsync", "replace", "write")
"""Functions of `os` through which everything gets to the disk that must survive."""
NEVER = 10**9


def killing(number: int) -> Callable[[], int]:
    """Have this process killed at the watched call with this number; return a count of them.

    A write gets half of its bytes to the file, all other calls nothing done.
    """
    passed, write = 0, os.write

    def watch(name: str) -> None:
        original = getattr(os, name)

        def watched(*given: Any, **more: Any) -> Any:
            nonlocal passed
            if passed == number:
                if name == "write":
                    write(given[0], given[1][: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1
            return original(*given, **more)

        setattr(os, name, watched)

    for name in WATCHED:
        watch(name)
    return lambda: passed


def attempt(folder: Path, study: Study, start: int, kill_at: int) -> int:
    """Run or go on with the study in a child; return the number of watched calls, -1: killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        count = killing(kill_at)
        run(folder, study, start)
        os.write(writer, str(count()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        told = file.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and not os.WEXITSTATUS(status):
        return int(told)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"the run ended with {status}")
    return -1


def run(folder: Path, study: Study, number: int) -> None:
    """Run the study or go on with it; number: Flower's own of the run, a new one at every start."""
    output, first = folder / "run", folder / study.sites[0].name
    config: dict[str, str | int | float | bool] = {
        "study": str(first / "study.toml"),
        "output": str(output),
        "roster": str(first / "roster.json"),
        "resume": (output / STATE_FILE).exists(),
        "keep-every": 0,
        "seed": 0,
    }
    output.mkdir(exist_ok=True)
    contexts = {
        i: Context(number, i, {"node": str(folder / site.name)}, RecordDict(), {})
        for i, site in enumerate(study.sites, start=1)
    }
    grid = InProcessGrid(client_app, contexts, serialise=True)
    server_app(grid, Context(number, 9, {}, RecordDict(), config))


def theta_of(folder: Path, study: Study) -> torch.Tensor:
    return load_state(folder / "run", study, make_learner(study, seed=0)).meta


def unpaid(folder: Path, study: Study) -> str:
    """Return what a hospital's ledger does not pay for, or nothing."""
    records = read_records(folder / "run", study, make_learner(study, seed=0))
    masked = study.privacy.profile == "masked"
    for name in (site.name for site in study.sites):
        state = folder / name / "state"
        debits, audit = read_book(state, LEDGER_BOOK), read_book(state, AUDIT_BOOK)
        thetas = {
            x.record["round"]: x.record["theta_sha256"] for x in debits if "round" in x.record
        }
        known: list[Release] = [
            (r.round_index, thetas.get(r.round_index, "")) for r in records if name in r.accepted
        ]
        if why := undercounted(debits, audit, known, masked=masked):
            return f"{name}: {why}"
    return ""


def cases(folder: Path, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what became of each killed run."""
    torch.set_num_threads(1)
    template, copy, whole = folder / "template", folder / "copy", folder / "whole"
    study = read_study(next(template.glob("*/study.toml")))
    for site in study.sites:  # draws the site's key and its patients' slots: copies share them
        open_site({"node": str(template / site.name)}, {}, study.id)
    shutil.copytree(template, whole)
    calls, rng = attempt(whole, study, 1, NEVER), generator("killed run", seed)
    for _ in range(count):
        kills = [int(rng.integers(calls)) for _ in range(int(rng.integers(1, 4)))]
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(template, copy)
        lived = [attempt(copy, study, 1 + i, at) >= 0 for i, at in enumerate([*kills, NEVER])]
        closed = (copy / "run" / RECORDS_FILE).read_text().count('"closed":true')
        off = float((theta_of(copy, study) - theta_of(whole, study)).abs().max())
        yield {"kills": kills, "lived": lived, "off": off, "closed": closed,
               "unpaid": unpaid(copy, study), "calls": calls}  # fmt: skip


if __name__ == "__main__":
    where, how_many, first = sys.argv[1:]
    for found in cases(Path(where), int(how_many), int(first)):
        sys.stdout.write(json.dumps(found) + "\n")
