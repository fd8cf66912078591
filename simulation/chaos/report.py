"""Tables of what the cases came to, and of each failure with its seed.

python -m simulation.chaos.report FILE...     of lines that `--json` has printed
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Fields = Mapping[str, Any]
_COLUMNS = (
    "cases | good | finished | identical | sites dropped, explained | by hand "
    "| extra s, median | worst |"
)


def table(rows: Sequence[Fields]) -> str:
    """Return two tables in Markdown: by kind, in the order of the seeds, and by profile."""
    if not rows:
        return ""
    return "\n\n".join([_table("fault", "kind", rows), _table("profile", "profile", rows)])


def failures(rows: Sequence[Fields]) -> str:
    """Return a line for each case that was lost, or whose fault found nothing to hit."""
    lines = []
    for row in rows:
        where = f"seed {row['seed']}: {row['kind']}, {row['profile']}, after round {row['after']}"
        if not row["good"]:
            why = row["broken"] or ("another theta" if row["finished"] else "not finished")
            lines.append(f"LOST {where}: {why}")
        elif not row["hit"]:
            lines.append(f"missed {where}: the part was not there")
    return "\n".join(lines)


def _table(title: str, by: str, rows: Sequence[Fields]) -> str:
    ordered = sorted(rows, key=lambda row: row["seed"])
    names = dict.fromkeys(row[by] for row in ordered)
    lines = [_line(name, [row for row in rows if row[by] == name]) for name in names]
    head = [f"| {title} | {_COLUMNS}", "|---|---|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *lines, *([_line("all", rows)] if by == "kind" else [])])


def _line(name: str, rows: Sequence[Fields]) -> str:
    extra = [row["extra"] for row in rows]
    dropped = [row for row in rows if row["dropped"]]
    explained = sum(row["explained"] for row in dropped)
    good, finished = (sum(row[key] for row in rows) for key in ("good", "finished"))
    return (
        f"| {name} | {len(rows)} | {good} | {finished} "
        f"| {sum(row['identical'] for row in rows)} | {len(dropped)}, {explained} "
        f"| {sum(row['by_hand'] > 0 for row in rows)} "
        f"| {median(extra):.0f} | {max(extra):.0f} |"
    )


def main(files: Sequence[str]) -> int:
    """Print the tables of the cases in files."""
    lines = [line for name in files for line in Path(name).read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    sys.stdout.write(f"{table(rows)}\n{failures(rows)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
