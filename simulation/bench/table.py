"""The bench's rows as tables for a terminal: costs, ratios with their spread, a round's stages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]

COMPARISONS = (
    ("arithmetic", "ours-generic", ("torch-loop", "higher", "jax")),
    ("arithmetic", "ours-compiled", ("torch-loop", "jax")),
    ("arithmetic", "ours-reference", ("torch-loop", "higher", "jax", "ours-generic")),
    ("round", "ours-generic", ("flower-ray", "pfl-loop", "pfl-ours")),
    ("evaluation", "ours-reference", ("ours-generic",)),
    ("round", "ours-reference", ("flower-ray", "pfl-loop", "pfl-ours", "ours-generic")),
)
"""Part, ours, and whose CPU time is divided by ours."""


def costs(rows: Sequence[Row]) -> Table:
    """Return what each engine takes per site."""
    table = Table(title="Per site: median, and lowest to highest repetition", title_justify="left")
    for name in ("part", "sites", "K", "engine", "processes"):
        table.add_column(name)
    for name in ("CPU us", "range", "wall us", "peak MiB", "of peak"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["part"],
            f"{row['sites']:,}",
            str(row["inner_steps"]),
            row["engine"],
            str(row["workers"]),
            f"{row['cpu_us_per_site']:,.1f}",
            f"{row['cpu_us_low']:,.1f}-{row['cpu_us_high']:,.1f}",
            f"{row['wall_us_per_site']:,.1f}",
            f"{row['peak_rss_mib']:,.0f}",
            "" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.1f} %",
        )
    return table


def ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return how many times as much CPU time others take, lowest to highest possible."""
    found = []
    for part, ours, others in COMPARISONS:
        for mine in (r for r in rows if (r["part"], r["engine"], r["workers"]) == (part, ours, 1)):
            cell = (part, mine["sites"], mine["inner_steps"])
            for other in others:
                theirs = [r for r in rows if _cell(r) == cell and r["engine"] == other]
                found += [
                    _ratio(mine, r) for r in theirs if r["workers"] == 1 or "ours" not in other
                ]
    return found


def _cell(row: Row) -> tuple[str, int, int]:
    return row["part"], row["sites"], row["inner_steps"]


def _ratio(mine: Row, theirs: Row) -> dict[str, Any]:
    part, sites, steps = _cell(mine)
    return {
        "part": part,
        "sites": sites,
        "inner_steps": steps,
        "engine": theirs["engine"],
        "over": mine["engine"],
        "ratio": theirs["cpu_us_per_site"] / mine["cpu_us_per_site"],
        "low": theirs["cpu_us_low"] / mine["cpu_us_high"],
        "high": theirs["cpu_us_high"] / mine["cpu_us_low"],
    }


def ratio_table(rows: Sequence[Row]) -> Table:
    """Return the ratios as a table."""
    table = Table(title="CPU time, as a multiple of ours", title_justify="left")
    for name in ("part", "sites", "K", "engine", "over"):
        table.add_column(name)
    table.add_column("ratio", justify="right")
    table.add_column("range", justify="right")
    for r in ratios(rows):
        span = f"{r['low']:.1f}-{r['high']:.1f}"
        where = (r["part"], f"{r['sites']:,}", str(r["inner_steps"]), r["engine"], r["over"])
        table.add_row(*where, f"{r['ratio']:.1f}x", span)
    return table


def stages(rows: Sequence[Row]) -> Table:
    """Return where a round's time goes, for those of ours that know it."""
    table = Table(title="A round's CPU time by stage, us per site", title_justify="left")
    names = ("draw", "compute", "aggregate")
    for name in ("sites", "K", "engine", *names, "draw's share"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for row in (r for r in rows if r["split_us"]):
        split = row["split_us"]
        share = split["draw"] / sum(split.values())
        figures = [f"{split[name]:.1f}" for name in names]
        where = (f"{row['sites']:,}", str(row["inner_steps"]), row["engine"])
        table.add_row(*where, *figures, f"{100 * share:.0f} %")
    return table


def judging(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what adaptation curves cost beside the training that they judge."""
    rounds = {(r["engine"], r["sites"], r["inner_steps"]): r for r in rows if _is_one_round(r)}
    for row in (r for r in rows if r["part"] == "evaluation"):
        where = (row["engine"], row["sites"], row["inner_steps"])
        if where in rounds:
            curve, one = row["cpu_us_per_site"], rounds[where]["cpu_us_per_site"]
            yield (
                f"{row['engine']}, {row['sites']:,} sites, K = {row['inner_steps']}: "
                f"a curve (6 values of k, 20 draws) takes as long as {curve / one:.0f} rounds"
            )


def _is_one_round(row: Row) -> bool:
    return (row["part"], row["workers"]) == ("round", 1)


def cores(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what several processes gain over one, in wall time."""
    several = (r for r in rows if r["workers"] > 1 and r["engine"].startswith("ours"))
    for row in several:
        for one in rows:
            same = _cell(one) == _cell(row) and one["engine"] == row["engine"]
            if same and one["workers"] == 1:
                gain = one["wall_us_per_site"] / row["wall_us_per_site"]
                yield (
                    f"{row['engine']}, {row['sites']:,} sites, K = {row['inner_steps']}: "
                    f"{row['workers']} processes are {gain:.2f}x as fast as one"
                )
