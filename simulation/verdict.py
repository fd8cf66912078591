"""What a run says, in a table and in sentences; where a baseline wins, that is what they say."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from common.metrics import HIGHER_IS_BETTER
from simulation.evaluation import TRUTH
from simulation.summary import ALL

LABELS = {
    "auroc": "AUROC (higher is better)",
    "auprc": "average precision (higher is better)",
    "brier": "Brier score (lower is better)",
    "log-loss": "log-loss (lower is better)",
    "calibration_slope": "calibration slope (1 is ideal)",
    "calibration_intercept": "calibration intercept (0 is ideal)",
    "ece": "expected calibration error (lower is better)",
}
NAMES = {"auroc": "AUROC", "brier": "Brier score"}
NEITHER = "neither"

Results = Mapping[str, Any]
Row = Mapping[str, Any]


def overall(results: Mapping[str, Any], metric: str) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return the rows over all held-out tasks by (arm, k)."""
    return {
        (row["arm"], row["k"]): row
        for row in results["rows"]
        if row["held_out"] == ALL and row["metric"] == metric
    }


def table(results: Mapping[str, Any], metric: str) -> Table:
    """Return arms by k: mean over held-out tasks and 95 % interval."""
    rows = overall(results, metric)
    arms, ks = (list(dict.fromkeys(key)) for key in zip(*rows, strict=True))
    tasks = next(iter(rows.values()))["tasks"]
    shown = Table(title=f"{LABELS[metric]}, mean over {tasks} held-out tasks, 95 % interval")
    shown.add_column("arm")
    for k in ks:
        shown.add_column(f"k = {k}", justify="right")
    for arm in arms:
        shown.add_row(str(arm), *(cell(rows.get((str(arm), int(k)))) for k in ks))
    return shown


def cell(row: Mapping[str, Any] | None) -> str:
    """Return mean and interval, one below the other so that five of them fit a terminal."""
    return f"{row['mean']:.3f}\n{row['low']:.2f}-{row['high']:.2f}" if row else "-"


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Return one sentence per k on how the algorithm stands beside the best other arm."""
    return [sentence for metric in ("auroc", "brier") for sentence in _sentences(results, metric)]


def _sentences(results: Results, metric: str) -> Iterator[str]:
    for found in compared(results, metric):
        yield sentence(results, found, metric)


def sentence(results: Results, found: Mapping[str, Any], metric: str) -> str:
    """Return in words what `compared` has found at a k."""
    main, sign = main_arm(results), 1 if HIGHER_IS_BETTER[metric] else -1
    paired = found["paired"]
    how = "better" if sign * paired["mean"] > 0 else "worse"
    return (
        f"{NAMES[metric]}, k = {found['k']}: {main} {found['mean']:.3f} is "
        f"{'' if side(paired) else 'not clearly '}{how} than the best other arm, "
        f"{found['other']} {found['best']:.3f} "
        f"(difference {paired['mean']:+.3f}, {sure(paired)})."
    )


def sure(paired: Mapping[str, Any]) -> str:
    """Return the interval of a difference in words."""
    if paired["low"] is None:
        return "one task: no interval"
    return f"95 % interval {paired['low']:+.3f} to {paired['high']:+.3f}"


def compared(results: Results, metric: str) -> Iterator[dict[str, Any]]:
    """Yield for each k the algorithm beside the best other arm; `winner` is "" if it is not clear.

    The truth is no rival: nobody can know it.
    """
    main, rows = main_arm(results), overall(results, metric)
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    for k in sorted({k for _, k in rows}):
        others = {a: r["mean"] for (a, n), r in rows.items() if n == k and a not in (main, TRUTH)}
        if (main, k) not in rows or not others:
            continue
        other = max(others, key=lambda arm: sign * others[arm])
        mean, best = rows[main, k]["mean"], others[other]
        paired = paired_rows(results, metric).get((other, k))
        ahead = main if sign * (mean - best) > 0 else other if mean != best else NEITHER
        found = {"k": k, "mean": mean, "other": other, "best": best, "paired": paired}
        yield found | {"ahead": ahead, "winner": ahead if side(paired) else ""}


def main_arm(results: Results) -> str:
    """Return the arm of the algorithm under test."""
    return str(results["study"]["algorithm"]["name"])


def known(row: Row | None) -> bool:
    """Return whether the row has an interval."""
    return row is not None and row["low"] is not None and row["high"] is not None


def side(row: Row | None) -> int:
    """Return 1 or -1 if the interval lies above or below 0; 0 if it holds 0 or is unknown."""
    if row is None or not known(row) or row["low"] * row["high"] <= 0:
        return 0
    return 1 if row["low"] > 0 else -1


def paired_rows(results: Results, metric: str) -> dict[tuple[str, int], Row]:
    """Return the differences by (other arm, k)."""
    return {(d["minus"], d["k"]): d for d in results["differences"] if d["metric"] == metric}
