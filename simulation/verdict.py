"""What a run says, in a table and in sentences; where a baseline wins, that is what they say."""

from collections.abc import Iterator, Mapping
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
NAMES = {"auroc": "AUROC", "brier": "Brier score"}
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
    """Return mean and interval, one below the other so that five of them fit a terminal."""
    return f"{row['mean']:.3f}\n{row['low']:.2f}-{row['high']:.2f}" if row else "-"


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Return one sentence per k on how the algorithm stands beside the best other arm."""
    return [sentence for metric in ("auroc", "brier") for sentence in _sentences(results, metric)]


def _sentences(results: Mapping[str, Any], metric: str) -> Iterator[str]:
    main = results["study"]["algorithm"]["name"]
    means = {at: row["mean"] for at, row in overall(results, metric).items()}
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    for k in sorted({k for _, k in means}):
        others = [arm for arm, at in means if at == k and arm not in (main, TRUTH)]
        if (main, k) in means and others:
            best = max(others, key=lambda arm: sign * means[arm, k])
            paired = next(
                row
                for row in results["differences"]
                if (row["k"], row["minus"], row["metric"]) == (k, best, metric)
            )
            how = _compared(sign * paired["mean"], paired)
            yield (
                f"{NAMES[metric]}, k = {k}: {main} {means[main, k]:.3f} is {how} than the best "
                f"other arm, {best} {means[best, k]:.3f} "
                f"(difference {paired['mean']:+.3f}, {_sure(paired)})."
            )


def _compared(gain: float, paired: Mapping[str, Any]) -> str:
    clear = paired["low"] is not None and paired["low"] * paired["high"] > 0
    return f"{'' if clear else 'not clearly '}{'better' if gain > 0 else 'worse'}"


def _sure(paired: Mapping[str, Any]) -> str:
    if paired["low"] is None:
        return "one task: no interval"
    return f"95 % interval {paired['low']:+.3f} to {paired['high']:+.3f}"
