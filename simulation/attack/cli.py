"""`wardround attack`: the red team against the code that hospitals run."""

import json
import sys
from typing import Annotated, Any

import typer

from common.errors import SettingsError

KNOWN = ("reconstruction", "membership", "server", "poisoning")


def attack(
    *,
    only: Annotated[str, typer.Option(help=f"Parts, with commas: {','.join(KNOWN)}.")] = "",
    trials: Annotated[
        int, typer.Option(min=1, help="Reconstructions each; the other parts in proportion.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON on stdout.")] = False,
) -> None:
    """Attack updates, secure aggregation and the aggregate; say what each profile leaves of it."""
    parts = [part.strip() for part in only.split(",") if part.strip()] or list(KNOWN)
    if unknown := set(parts) - set(KNOWN):
        raise SettingsError(
            f"there is no part {min(unknown)}", where="--only", remedy=f"name {', '.join(KNOWN)}"
        )
    rows = _run(parts, trials, seed)
    if as_json:
        sys.stdout.write(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    else:
        _show(rows)


def _run(parts: list[str], trials: int, seed: int) -> list[Any]:
    import torch  # slow to import: not before it is needed, so that --help is quick
    from rich.console import Console

    from simulation.attack.team import run

    torch.set_num_threads(1)
    console = Console(stderr=True)
    with console.status("") as status:
        return list(run(parts, trials, seed, lambda doing: status.update(f"{doing} ...")))


def _show(rows: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from simulation.attack.protection import PROFILES

    table = Table(title="What the attacks get, with 95 % intervals")
    for column in ("attack", "algorithm", "unit"):
        table.add_column(column)
    for profile in PROFILES:
        table.add_column(profile, justify="right")
    found = {(r.attack, r.algorithm, r.unit, r.profile): r for r in rows}
    for key in dict.fromkeys((r.attack, r.algorithm, r.unit) for r in rows):
        table.add_row(*key, *(_cell(found.get((*key, profile))) for profile in PROFILES))
    Console().print(table)


def _cell(row: Any) -> str:
    if row is None:
        return "-"
    places = 1 if row.unit.startswith("points") else 2
    low, high = (f"{end:.{places}f}" for end in (row.low, row.high))
    return f"{row.success:.{places}f} ({low} to {high})"
