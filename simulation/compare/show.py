"""What a comparison says on a terminal; where a baseline wins, that is what it says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulation.summary import ALL
from simulation.verdict import sure

NAMES = {"auroc": "AUROC (higher is better)", "brier": "Brier score (lower is better)"}
Results = Mapping[str, Any]


def show(results: Results, folder: Path) -> None:
    """Print tables of all arms, and a sentence for each k."""
    console = Console()
    for metric in NAMES:
        console.print(_table(results, metric))
    for sentence in sentences(results):
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(f"Report: {folder / 'report.html'}", highlight=False, soft_wrap=True)


def _table(results: Results, metric: str) -> Table:
    rows = {
        (row["arm"], row["k"]): row
        for row in results["rows"]
        if row["held_out"] == ALL and row["metric"] == metric
    }
    ks = sorted({k for _, k in rows})
    arms = [arm for arm in dict.fromkeys(a for a, _ in rows) if not arm.startswith("candidate:")]
    tasks = next(iter(rows.values()))["tasks"]
    shown = Table(title=f"{NAMES[metric]}, mean over {tasks} held-out tasks")
    shown.add_column("arm")
    for k in ks:
        shown.add_column(f"k = {k}", justify="right")
    for arm in arms:
        cells = [f"{rows[arm, k]['mean']:.3f}" if (arm, k) in rows else "-" for k in ks]
        shown.add_row(arm + " *" * arm.startswith("pooled"), *cells)
    shown.caption = "* of all patients in one place: no federation has that"
    return shown


def sentences(results: Results) -> Iterator[str]:
    """Yield how the gate stands beside the best other arm, and whom it harms."""
    tests = {(t["metric"], t["k"], t["minus"]): t for t in results["tests"]}
    for line in results["compared"]:
        name, other = line["metric"], line["best_baseline"]
        test = tests[name, line["k"], other]
        yield (
            f"{NAMES[name].split(' (')[0]}, k = {line['k']}: gated {line['gated']:.3f}, best "
            f"baseline {other} {line['best_baseline_mean']:.3f} (difference {test['mean']:+.3f}, "
            f"{sure(test)}, "
            f"p = {test['p_holm']:.3f} after Holm, {test['sites']} sites)."
        )
    for row in results["rows"]:
        if (row["arm"], row["metric"], row["held_out"]) == ("gated", "harmed_rate", ALL):
            yield (
                f"k = {row['k']}: {row['mean']:.0%} of tasks are worse than going it alone by more "
                "than 0.02 of AUROC."
            )
    for line in results["sets"]:
        yield (
            f"k = {line['k']}: sets of {line['nominal']:.0%} hold the truth for "
            f"{line['covered']:.1%} of patients ({line['covered_with']:.1%} of those with the "
            f"diagnosis); {line['unlike']:.1%} are unlike those seen."
        )
