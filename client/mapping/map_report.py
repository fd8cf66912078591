"""What `wardround node map` says: which local column stands for which of the study's, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from client.mapping.proposing import Proposal
from common.pages import count

STAYS = "Read on this machine only; nothing has left the hospital."
DASH = "-"


def about(proposals: Sequence[Proposal], *, site_toml: str, wrote: bool) -> dict[str, Any]:
    """Return all there is to say, for JSON. site_toml: its path; wrote: whether it was written."""
    return {
        "schema": 1,
        "site_toml": site_toml,
        "wrote": wrote,
        "columns": [_row(one) for one in proposals],
        "open": [one.wanted.name for one in proposals if one.rule is None],
        "to_write": 0
        if wrote
        else sum(not one.given and one.rule is not None for one in proposals),
    }


def _row(one: Proposal) -> dict[str, Any]:
    rule = one.rule
    feature = one.wanted.feature
    return {
        "study": one.wanted.name,
        "role": one.wanted.role,
        "unit": feature.unit if feature else "",
        "local": rule.local if rule else None,
        "unit_here": one.unit,
        "rule": "open" if rule is None else "in site.toml" if one.given else "proposed",
        "why": list(one.why),
        "usable": one.usable if rule else None,
        "missing": one.missing if rule else None,
    }


def show(found: Mapping[str, Any]) -> None:
    """Print it on stdout, to be read at 100 columns."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.print(STAYS, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("study column", "unit", "column here", "unit here"):
        table.add_column(name, overflow="fold")
    for name in ("usable", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in found["columns"]:
        here = row["local"] or ("OPEN" if row["rule"] == "open" else "")
        cells = (row["study"], row["unit"] or DASH, here, row["unit_here"] or DASH)
        shares = (_share(row["usable"]), _share(row["missing"]))
        table.add_row(*map(escape, (*cells, *shares, "; ".join(row["why"]))))
    console.print(table)
    for line in words(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def words(found: Mapping[str, Any]) -> list[str]:
    """Return what was written, what is open, and what to do next."""
    path, left = found["site_toml"], found["to_write"]
    lines = [
        "usable: of the entries that are not missing, the share that the study can use as they are."
    ]
    if found["wrote"]:
        lines.append(f"Written: {path}. Read it; correct what is wrong.")
    elif left:
        rules = count(left, "rule")
        lines.append(f"{rules} would be added to {path}: run again with --write.")
    else:
        lines.append(f"{path} stays as it is.")
    if found["open"]:
        names = ", ".join(found["open"])
        lines.append(f'Open: {names}. Add [[columns]] for them; local = "" if you have none.')
    lines.append("Then: wardround node check")
    return lines


def _share(value: float | None) -> str:
    """Return a share that is 100 % only if it is all, and 0 % only if it is nothing."""
    if value is None:
        return DASH
    rounded = min(max(round(value, 3), 0.001), 0.999) if 0 < value < 1 else value
    return f"{rounded:.1%}" if 0 < value < 1 else f"{rounded:.0%}"
