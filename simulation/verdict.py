"""What a run says, in a table and in sentences: also, and first, where a baseline wins."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from simulation.metrics import HIGHER_IS_BETTER
from simulation.summary import ALL

LABELS = {
    "auroc": "AUROC (higher is better)",
    "auprc": "average precision (higher is better)",
    "brier": "Brier score (lower is better)",
    "log-loss": "log-loss (lower is better)",
}
TRUTH = "truth"


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
    """Return mean and interval as text."""
    return f"{row['mean']:.3f} ({row['low']:.3f}-{row['high']:.3f})" if row else "-"


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Return one sentence per k on how the algorithm stands beside the best other arm."""
    return [sentence for metric in ("auroc", "brier") for sentence in _sentences(results, metric)]


def _sentences(results: Mapping[str, Any], metric: str) -> Sequence[str]:
    main = results["study"]["algorithm"]["name"]
    rows = overall(results, metric)
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    found = []
    for k in sorted({k for _, k in rows}):
        others = {a: r["mean"] for (a, kk), r in rows.items() if kk == k and a not in (main, TRUTH)}
        if (main, k) not in rows or not others:
            continue
        best = max(others, key=lambda arm: sign * others[arm])
        gap = sign * (rows[main, k]["mean"] - others[best])
        paired = next(
            d
            for d in results["differences"]
            if (d["k"], d["minus"], d["metric"]) == (k, best, metric)
        )
        found.append(_sentence(metric, k, main, best, gap, paired))
    return found


def _sentence(
    metric: str, k: int, main: str, best: str, gap: float, paired: Mapping[str, Any]
) -> str:
    if paired["low"] is None:
        sure = "one task: no interval"
    else:
        sure = f"95 % interval {paired['low']:+.3f} to {paired['high']:+.3f}"
    clear = paired["low"] is not None and paired["low"] * paired["high"] > 0
    how = "beats" if gap > 0 else "loses to"
    how = how if clear else f"{'is above' if gap > 0 else 'is below'}, not clearly,"
    name = metric.upper() if metric == "auroc" else metric.capitalize()
    return f"{name}, k = {k}: {main} {how} {best} by {abs(gap):.3f} ({sure})."
