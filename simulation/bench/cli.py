"""`wardround bench`: our engines beside others, in one run on this machine."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import SettingsError

if TYPE_CHECKING:
    from simulation.bench.contestants import Contestant

NARROWEST = 110  # columns; a table in fewer cannot be read
SITES, STEPS = [10, 100, 1_000, 10_000], [1, 5]


def bench(
    *,
    sites: Annotated[
        list[int] | None, typer.Option(help="Number of sites; repeatable. 10, 100, 1000, 10000.")
    ] = None,
    inner_steps: Annotated[
        list[int] | None, typer.Option(help="Inner steps K; repeatable. 1 and 5.")
    ] = None,
    engines: Annotated[
        str, typer.Option(help="Engines to measure, with commas between; empty: all.")
    ] = "",
    repetitions: Annotated[int, typer.Option(min=1, help="Repetitions, in turn.")] = 5,
    longest: Annotated[
        float, typer.Option(help="Leave out what takes more seconds for one repetition.")
    ] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure engines side by side: one second-order MAML round (docs/benchmarks.md)."""
    from simulation.bench.contest import Plan, machine, run
    from simulation.bench.contestants import contestants

    chosen = _named(engines, contestants())
    if any(value < 1 for value in sites or ()) or any(value < 0 for value in inner_steps or ()):
        raise SettingsError(
            "a number of sites or inner steps is too small", where="bench", remedy="give 1 or more"
        )
    plan = Plan(
        sites=_each(sites or SITES),
        inner_steps=_each(inner_steps or STEPS),
        repetitions=repetitions,
        seed=seed,
        longest_s=longest,
    )
    rows = run(chosen, plan, _say)
    judged = [row for row in rows if row["part"] == "evaluation"]
    result = {
        "schema": 1,
        "machine": machine(),
        "rows": [row for row in rows if row not in judged],
        "evaluation": judged,
    }
    if as_json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    else:
        _show(result)


def _named(engines: str, everyone: "list[Contestant]") -> "list[Contestant]":
    """Return the contestants that are named, with commas between; all if none is."""
    wanted = {name.strip() for name in engines.split(",") if name.strip()}
    if unknown := wanted - {c.name for c in everyone}:
        raise SettingsError(
            f"there is no engine {min(unknown)!r}",
            where="--engines",
            remedy=f"choose from {', '.join(dict.fromkeys(c.name for c in everyone))}",
        )
    return [c for c in everyone if not wanted or c.name in wanted]


def _each(values: list[int]) -> list[int]:
    return sorted(set(values))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _show(result: dict[str, Any]) -> None:
    from rich.console import Console

    from simulation.bench.table import cores, costs, judging, ratio_table, stages
    from simulation.bench.wire import wire_bytes

    console, machine = Console(), result["machine"]
    rows = [*result["rows"], *result["evaluation"]]
    console.width = max(console.width, NARROWEST)
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    console.print(", ".join(f"{name} {v}" for name, v in machine["versions"].items()))
    for table in (costs(rows), ratio_table(rows), stages(rows)):
        console.print(table)
    for sentence in (*judging(rows), *cores(rows)):
        console.print(sentence, highlight=False)
    down, up = wire_bytes()
    console.print(f"On the wire per site and round: {down:,} bytes down, {up:,} bytes up")
