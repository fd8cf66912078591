"""The table of a chaos run: one line a kind of fault, and every failure with its seed."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Fields = Mapping[str, Any]
HEAD = (
    "| fault | cases | finished | identical | sites dropped, explained | by hand "
    "| extra s, median | worst |\n|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Fields]) -> str:
    """Return the table in Markdown, kinds in the order of their first case, and a line of sums."""
    kinds = dict.fromkeys(row["kind"] for row in rows)
    lines = [_line(kind, [row for row in rows if row["kind"] == kind]) for kind in kinds]
    return "\n".join([HEAD, *lines, _line("all", rows)]) if rows else HEAD


def failures(rows: Sequence[Fields]) -> str:
    """Return a line for each case that was lost, or whose fault found nothing to hit."""
    lines = []
    for row in rows:
        site = row["site"] or "centre"
        where = f"seed {row['seed']}: {row['kind']} {site} after round {row['after']}"
        if not row["good"]:
            why = row["broken"] or ("another theta" if row["finished"] else "not finished")
            lines.append(f"LOST {where}: {why}")
        elif not row["hit"]:
            lines.append(f"missed {where}: the part was not there")
    return "\n".join(lines)


def _line(kind: str, rows: Sequence[Fields]) -> str:
    extra = [row["extra"] for row in rows]
    dropped = [row for row in rows if row["dropped"]]
    explained = sum(row["explained"] for row in dropped)
    return (
        f"| {kind} | {len(rows)} | {sum(row['finished'] for row in rows)} "
        f"| {sum(row['identical'] for row in rows)} | {len(dropped)}, {explained} "
        f"| {sum(row['by_hand'] > 0 for row in rows)} "
        f"| {median(extra):.0f} | {max(extra):.0f} |"
    )
