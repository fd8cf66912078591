"""`make chaos`: hurt a small federation, one fault a run, and say what each part survives.

    python -m simulation.chaos --cases 21 --seed 0 [--seconds 1800] [--output DIR] [--json]

Case i has the seed S + i, so that a failure is had again by `--cases 1 --seed` of it. Exit code 1
if a run was lost.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

from simulation.chaos.cases import Case, draw_cases
from simulation.chaos.federation import ROUNDS, SITES, Federation
from simulation.chaos.report import failures, table
from simulation.chaos.running import Row, run_case, undisturbed


def main(words: Sequence[str] | None = None) -> int:
    """Run the cases and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="begin no case after so long")
    parser.add_argument("--output", type=Path, help="keep everything here, not in a temporary one")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each case")
    given = parser.parse_args(words)
    folder = (given.output or Path(mkdtemp(prefix="chaos-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left running
    cases, rows = draw_cases(given.cases, given.seed, SITES, ROUNDS), []
    try:
        for row in play(folder, cases, until=time.monotonic() + given.seconds):
            rows.append(row.fields())
            _say(json.dumps(rows[-1]), err=not given.json)
    finally:
        if not given.output:
            shutil.rmtree(folder, ignore_errors=True)
    _say("\n".join([table(rows), failures(rows)]), err=given.json)
    return 0 if rows and all(row["good"] for row in rows) else 1


def play(folder: Path, cases: Sequence[Case], *, until: float) -> Iterator[Row]:
    """Set the federation up, run it undisturbed, then once for each case until the time is over."""
    federation = Federation(folder)
    try:
        federation.found()
        federation.heal()
        undisturbed(federation, "warm-up")  # compiles, and loads what will be in memory
        reference = undisturbed(federation, "reference")
        for case in cases:
            if time.monotonic() > until:
                return
            federation.heal()
            yield run_case(federation, case, reference)
    finally:
        federation.close()


def _say(text: str, *, err: bool) -> None:
    (sys.stderr if err else sys.stdout).write(text + "\n")
    (sys.stderr if err else sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
