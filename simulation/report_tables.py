"""The report's tables of scores: over all held-out tasks, for each of them, and k of each class."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from common.metrics import HIGHER_IS_BETTER, distance_from_ideal
from common.pages import DASH, Html, count, element, joined, listed, number, table
from simulation import report_style as style
from simulation.drawing import REFERENCE
from simulation.evaluation import TRUTH
from simulation.figures import complete_tasks, prevalence_alone
from simulation.report_lists import MOST, in_results, named
from simulation.verdict import LABELS, known, main_arm, overall, paired_rows, side

Results = Mapping[str, Any]
Row = Mapping[str, Any]
ByArm = Mapping[tuple[str, int], Row]

JUDGED = ("auroc", "brier")


def means(results: Results) -> Iterator[Html]:
    """Yield the means over the held-out tasks."""
    yield element("h2", "All held-out tasks")
    complete, reference = complete_tasks(results), prevalence_alone(results)
    for metric in JUDGED:
        rows = overall(results, metric)
        title = f"{LABELS[metric]}: mean over {count(len(complete), 'task')}, 95 % interval"
        constant = {"mean": reference.get(metric), "low": None, "high": None}
        alone = {(REFERENCE, k): constant for _, k in rows if reference}
        yield grid(rows | alone, metric, main_arm(results), title)
    yield element(
        "p",
        f"Bold: the best arm of each column. Neither {REFERENCE} nor the truth, where it is known, "
        "competes.",
        css="note",
    )
    if short := [h["held_out"] for h in results["held_out"] if h["held_out"] not in complete]:
        yield element(
            "p",
            f"Too few patients for every k, so not in the means: {named(short)}.",
            css="note",
        )
    scored = {row["k"] for row in results["rows"]}
    if missing := [k for k in results["study"]["evaluation"]["k"] if k not in scored]:
        yield element("p", f"No task has enough patients for k = {listed(missing)}.", css="note")


def differences(results: Results) -> Iterator[Html]:
    """Yield the paired differences from every other arm."""
    yield element("h2", f"{main_arm(results)} minus every other arm")
    for metric in JUDGED:
        sign = 1 if HIGHER_IS_BETTER[metric] else -1
        cells = {at: difference(row, sign) for at, row in paired_rows(results, metric).items()}
        yield by_k(cells, f"{LABELS[metric]}: paired difference, 95 % interval over tasks")


def tasks(results: Results) -> Iterator[Html]:
    """Yield each held-out task on its own."""
    main = main_arm(results)
    yield element("h2", "Each held-out site and diagnosis")
    yield element("p", f"{DASH}: fewer patients can be labelled than k.", css="note")
    rows = by_task(results)
    for held in results["held_out"][:MOST]:
        about = (
            f"{count(held['patients'], 'patient')}, {held['positive']:,} positive "
            f"({held['positive'] / max(held['patients'], 1):.1%}); tested on "
            f"{held['test_patients']:,}, {held['test_positive']:,} positive; "
            f"{held['can_be_labelled']:,} can be labelled."
        )
        grids = (
            grid(rows.get((held["held_out"], m), {}), m, main, LABELS[m], ks=_ks(results))
            for m in JUDGED
        )
        yield element(
            "section",
            element("h4", held["held_out"]),
            element("p", about, css="note"),
            element("div", *grids, css="pair"),
            css="task",
        )
    if (more := len(results["held_out"]) - MOST) > 0:
        yield element("p", f"And {count(more, 'task')} more.")
        yield in_results("rows")


def by_task(results: Results) -> dict[tuple[str, str], dict[tuple[str, int], Row]]:
    """Return the rows by held-out task and metric."""
    found: dict[tuple[str, str], dict[tuple[str, int], Row]] = {}
    for row in results["rows"]:
        found.setdefault((row["held_out"], row["metric"]), {})[row["arm"], row["k"]] = row
    return found


def per_class(results: Results) -> Iterator[Html]:
    """Yield the secondary table: k patients of each class."""
    yield element("h2", "Secondary: k labelled patients of each class")
    yield element("p", style.SECONDARY)
    for metric in JUDGED:
        rows = overall({"rows": results["rows_per_class"]}, metric)
        tasks = count(max((row["tasks"] for row in rows.values()), default=0), "task")
        title = f"Secondary. {LABELS[metric]}: mean over {tasks}, 95 % interval"
        yield grid(rows, metric, main_arm(results), title, unit=" of each class")


def grid(
    rows: ByArm,
    metric: str,
    main: str,
    title: str,
    *,
    ks: Iterable[int] = (),
    unit: str = "",
    apart: Iterable[str] = (TRUTH, REFERENCE),
) -> Html:
    """Return arms by k: means with intervals, the best of each column but those `apart` bold."""
    shown: dict[int, list[float]] = {}
    for (arm, k), row in rows.items():
        if arm not in apart:
            shown.setdefault(k, []).append(round(row["mean"], 3))
    best = {k: min(means, key=partial(distance_from_ideal, metric)) for k, means in shown.items()}
    cells = {
        (arm, k): estimate(row, None if arm in apart else best[k]) for (arm, k), row in rows.items()
    }
    return by_k(cells, title, ks=ks, unit=unit, main=main)


def by_k(
    cells: Mapping[tuple[str, int], object],
    title: str,
    *,
    ks: Iterable[int] = (),
    unit: str = "",
    main: str = "",
) -> Html:
    """Return a table of arms by k: the given ks, else those of the cells; a dash where none is."""
    if not cells:
        return element("p", f"{title}: there is none.")
    ks = list(ks) or sorted({k for _, k in cells})
    rows = (
        (
            element("span", arm, css="test") if arm == main else arm,
            *(cells.get((arm, k), DASH) for k in ks),
        )
        for arm in dict.fromkeys(arm for arm, _ in cells)
    )
    return table(("arm", *(f"k = {k}{unit}" for k in ks)), rows, title=title)


def estimate(row: Row, best: float | None = None) -> Html:
    """Return a mean over its interval, bold if it equals `best` as far as it is shown."""
    mean = number(row["mean"])
    shown = element("strong", mean) if round(row["mean"], 3) == best else mean
    if not known(row) or row["low"] == row["high"]:
        return joined([shown])
    interval = f"{number(row['low'])}{DASH}{number(row['high'])}"
    return joined([shown, element("small", interval)])


def difference(row: Row | None, sign: int = 0) -> Html:
    """Return a paired difference over its interval; with `sign`, whether it is clearly good."""
    if row is None:
        return Html(DASH)
    interval = "no interval"
    if known(row):
        interval = f"{number(row['low'], signed=True)} to {number(row['high'], signed=True)}"
    word = {1: "better", -1: "worse", 0: ""}[sign * side(row)]
    shown = number(row["mean"], signed=True)
    return joined([shown, element("small", interval), element("small", word, css="side")])


def _ks(results: Results) -> list[int]:
    return sorted({row["k"] for row in results["rows"]})
