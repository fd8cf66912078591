"""What a comparison says on a terminal; where a baseline wins, that is what it says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulation.compare.report_arms import CANDIDATE, NO_FEDERATION, paired
from simulation.compare.report_arms import shown as starred
from simulation.compare.results import HARM, TESTED
from simulation.compare.scoring import GATED
from simulation.verdict import LABELS, NAMES, overall, sure

Results = Mapping[str, Any]


def show(results: Results, folder: Path) -> None:
    """Print tables of all arms, and a sentence for each k."""
    console = Console()
    for metric in TESTED:
        console.print(_table(results, metric))
    for sentence in sentences(results):
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(f"Report: {folder / 'report.html'}", highlight=False, soft_wrap=True)


def _table(results: Results, metric: str) -> Table:
    rows = overall(results, metric)
    ks = sorted({k for _, k in rows})
    arms = [arm for arm in dict.fromkeys(a for a, _ in rows) if not arm.startswith(CANDIDATE)]
    tasks = next(iter(rows.values()))["tasks"]
    shown = Table(title=f"{LABELS[metric]}, mean over {tasks} held-out tasks")
    shown.add_column("arm")
    for k in ks:
        shown.add_column(f"k = {k}", justify="right")
    for arm in arms:
        cells = [f"{rows[arm, k]['mean']:.3f}" if (arm, k) in rows else "-" for k in ks]
        shown.add_row(starred(arm), *cells)
    shown.caption = f"* {NO_FEDERATION}"
    return shown


def sentences(results: Results) -> Iterator[str]:
    """Yield how the gate stands beside the best other arm, and whom it harms."""
    for line in results["compared"]:
        name, other = line["metric"], line["best_baseline"]
        test = paired(results, name)[other, line["k"]]
        yield (
            f"{NAMES[name]}, k = {line['k']}: gated {line['gated']:.3f}, best "
            f"baseline {other} {line['best_baseline_mean']:.3f} (difference {test['mean']:+.3f}, "
            f"{sure(test)}, "
            f"p = {test['p_holm']:.3f} after Holm, {test['sites']} sites)."
        )
    for (arm, k), row in overall(results, "harmed_rate").items():
        if arm == GATED:
            yield (
                f"k = {k}: {row['mean']:.0%} of tasks are worse than going it alone by more "
                f"than {HARM} of AUROC."
            )
    for line in results["sets"]:
        yield (
            f"k = {line['k']}: sets of {line['nominal']:.0%} hold the truth for "
            f"{line['covered']:.1%} of patients ({line['covered_with']:.1%} of those with the "
            f"diagnosis); {line['unlike']:.1%} are unlike those seen."
        )
