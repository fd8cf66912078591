"""`make bench-rounds`: how long a round takes over TLS on loopback, Flower as it comes and ours.

    python -m simulation.bench.rounds [--turns 3] [--rounds 12] [--only NAME ...] [--json]

Flower and ours with two hospitals take turns, so that both meet the same load; then ours with
eight, and four without and with secure aggregation. A round is timed from its end to the next's
end; each run's first, which is longer, is not counted. The patients are made up, all processes run
on this machine.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

from simulation.bench.rounds_ours import Ours
from simulation.bench.rounds_stock import Stock

STOCK_ROUNDS = 4
STOCK, TWO, FOUR, EIGHT, MASKED = "stock-2", "ours-2", "ours-4", "ours-8", "masked-4"
STAGES = ((STOCK, TWO), (EIGHT,), (FOUR, MASKED))
TITLES = {
    STOCK: "Flower as it comes, 2 hospitals",
    TWO: "ours, 2 hospitals",
    FOUR: "ours, 4 hospitals",
    EIGHT: "ours, 8 hospitals",
    MASKED: "ours, masked, 4 hospitals",
}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="runs of each that is not masked")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of each run of ours")
    parser.add_argument("--only", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    folder = Path(mkdtemp(prefix="rounds-"))
    found: dict[str, list[float]] = {}
    loads: dict[str, float] = {}
    try:
        for stage in STAGES:
            names = [name for name in stage if name in given.only]
            found |= measure(folder, names, turns=given.turns, rounds=given.rounds)
            loads |= dict.fromkeys(names, os.getloadavg()[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = summary(found, loads)
    text = json.dumps({"schema": 1, "rows": rows, "seconds": found}) if given.json else table(rows)
    sys.stdout.write(text + "\n")


def measure(
    folder: Path, names: Sequence[str], *, turns: int, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each round of some set-ups, which take turns."""
    found: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as running:
        parties = {}
        for name in names:
            parties[name] = party(folder / name, name, rounds=rounds)
            running.callback(parties[name].close)
            parties[name].found()
        for turn in range(turns):
            for name, each in parties.items():
                if turn and name == MASKED:  # a hospital answers for a round once
                    continue
                found[name] += each.run()
                sys.stderr.write(f"{name}: {statistics.median(found[name]):.2f} s\n")
    return found


def party(folder: Path, name: str, *, rounds: int) -> Ours | Stock:
    """Return a set-up by its name."""
    hospitals = int(name.rpartition("-")[2])
    if name == STOCK:
        return Stock(folder, hospitals=hospitals, rounds=STOCK_ROUNDS)
    masked = name == MASKED
    profile = "masked" if masked else "none"
    return Ours(folder, hospitals=hospitals, profile=profile, rounds=rounds)


def summary(
    found: Mapping[str, Sequence[float]], loads: Mapping[str, float]
) -> list[dict[str, float | str | int]]:
    """Return a row for each set-up: median and quartiles of its rounds in seconds."""
    rows: list[dict[str, float | str | int]] = []
    for name, seconds in found.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        row: dict[str, float | str | int] = {"name": name, "title": TITLES[name]}
        row |= {"median": round(middle, 2), "low": round(low, 2), "high": round(high, 2)}
        rows.append(row | {"rounds": len(seconds), "load": round(loads[name], 1)})
    return rows


def table(rows: Sequence[Mapping[str, float | str | int]]) -> str:
    """Return the rows as a table of Markdown."""
    head = "| | median round | quartiles | rounds | load |\n|---|---|---|---|---|"
    lines = [
        f"| {r['title']} | {r['median']} s | {r['low']} to {r['high']} s | {r['rounds']} "
        f"| {r['load']} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
