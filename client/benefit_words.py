"""What a benefit means, in words and tables."""

from collections.abc import Mapping
from typing import Any

from client.evidence import ADAPTED, INTERCEPT, LOCAL, ZERO

OTHERS = (LOCAL, ZERO, INTERCEPT)
"""What adapting is compared with."""
CAUTION = (
    "If your patients took part in training the model, this flatters it. Intervals are not "
    "adjusted for the number of comparisons."
)


def sentence(row: Mapping[str, Any]) -> str:
    """Return one k's conclusion, by log-loss; AUROC is said beside it."""
    k = f"With {row['k']} labelled patients: "
    gap = {other: row["differences"][other]["log-loss"] for other in OTHERS}
    better = [other for other in OTHERS if gap[other]["high"] < 0]
    worse = [other for other in OTHERS if gap[other]["low"] > 0]
    if worse:
        best = min(worse, key=lambda other: -gap[other]["mean"])
        what = {LOCAL: "go alone", ZERO: "use the shared model as it is"}.get(best)
        advice = what or "use the shared model, corrected for prevalence only"
        return f"{k}{advice}; adapting is clearly worse than {best} {_said(gap[best])}."
    if len(better) == len(OTHERS):
        weakest = max(OTHERS, key=lambda other: gap[other]["mean"])
        return (
            f"{k}adapt; clearly better than going alone and than the shared model ({weakest}: "
            f"{_said(gap[weakest])[1:]}."
        )
    if LOCAL in better:
        return (
            f"{k}do not go alone {_said(gap[LOCAL])}; but adapting is not clearly better than the "
            "shared model, with or without your prevalence."
        )
    if better:
        return f"{k}better than {' and '.join(better)}, but not clearly better than going alone."
    return f"{k}nothing clear: adapting, going alone and the shared model cannot be told apart."


def _said(gap: Mapping[str, float]) -> str:
    return f"(log-loss {gap['mean']:+.3f}, 95 % interval {gap['low']:+.3f} to {gap['high']:+.3f})"


def show(found: Mapping[str, Any]) -> None:
    """Print means, differences and sentences on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for metric in ("auroc", "log-loss"):
        table = Table(
            title=f"{metric}, mean of {found['draws']} draws; below: adapted minus it, 95 %"
        )
        for column in ("k", ADAPTED, *OTHERS):
            table.add_column(column, justify="right")
        for row in found["rows"]:
            cells = [f"{row['means'][ADAPTED][metric]:.3f}"]
            for other in OTHERS:
                gap = row["differences"][other][metric]
                interval = f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})"
                cells.append(f"{row['means'][other][metric]:.3f}\n{interval}")
            table.add_row(str(row["k"]), *cells)
        console.print(table)
    for row in found["rows"]:
        console.print(row["sentence"], highlight=False, markup=False, soft_wrap=True)
    console.print(CAUTION, highlight=False, markup=False, soft_wrap=True)
