"""`make chaos`: hurt small federations, one case a run, and say what each part survives.

    python -m simulation.chaos --cases 31 --seed 0 [--jobs 2] [--seconds 3600] [--json]

Case i has the seed S + i, so that a failure is had again by `--cases 1 --seed` of it. Exit code 1
if a run was lost.
"""

import argparse
import json
import logging
import shutil
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from simulation.chaos.cases import KINDS, Case, draw_case, draw_cases
from simulation.chaos.jobs import Jobs
from simulation.chaos.report import failures, table
from simulation.chaos.running import Row


def main(words: Sequence[str] | None = None) -> int:
    """Run the cases and print what became of them."""
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    folder = (given.output or Path(mkdtemp(prefix="chaos-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left running
    cases, rows = draw_cases(given.cases, given.seed), []
    if given.seeds:
        cases = [draw_case(seed) for seed in given.seeds]
    try:
        until = time.monotonic() + given.seconds
        with closing(play(folder, cases, jobs=given.jobs, until=until)) as played:
            for row in played:
                rows.append(row.fields())
                _say(json.dumps(rows[-1]), err=not given.json)
    finally:
        if not given.output:
            shutil.rmtree(folder, ignore_errors=True)
    _say("\n".join([table(rows), failures(rows)]), err=given.json)
    return 0 if rows and all(row["good"] for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--seeds", type=int, nargs="+", help="these cases, and no others")
    parser.add_argument("--jobs", type=int, default=2, help="federations at the same time")
    parser.add_argument("--seconds", type=float, default=3600, help="begin no case after so long")
    parser.add_argument("--output", type=Path, help="keep everything here, not in a temporary one")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each case")
    return parser


def play(folder: Path, cases: Sequence[Case], *, jobs: int, until: float) -> Generator[Row]:
    """Run a case after the other, in so many federations at once, until the time is over."""
    yield from Jobs(folder, cases, until).rows(jobs)


def _say(text: str, *, err: bool) -> None:
    (sys.stderr if err else sys.stdout).write(text + "\n")
    (sys.stderr if err else sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
