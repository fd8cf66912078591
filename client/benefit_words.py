"""What a benefit means, in words and tables."""

from collections.abc import Mapping
from typing import Any

from client.evidence import ADAPTED, INTERCEPT, LOCAL, PREVALENCE, ZERO
from common.pages import listed

OTHERS = (LOCAL, ZERO, INTERCEPT, PREVALENCE)
"""What adapting is compared with."""
CAUTION = (
    "If your patients took part in training the model, this flatters it. Intervals are not "
    "adjusted for the number of comparisons."
)
INSTEAD = {
    LOCAL: "go alone",
    ZERO: "use the shared model as it is",
    INTERCEPT: "use the shared model, corrected for prevalence only",
    PREVALENCE: "use no model",
}


def sentence(row: Mapping[str, Any]) -> str:
    """Return one k's conclusion, by log-loss."""
    k = f"With {row['k']} labelled patients: "
    gap = {other: row["differences"][other]["log-loss"] for other in OTHERS}
    better = [other for other in OTHERS if gap[other]["high"] < 0]
    worse = [other for other in OTHERS if gap[other]["low"] > 0]
    rest = [other for other in OTHERS if other not in better]
    if worse:
        best = max(worse, key=lambda other: gap[other]["mean"])
        return f"{k}{INSTEAD[best]}; adapting is clearly worse than {best} ({_said(gap[best])})."
    if not rest:
        least = max(OTHERS, key=lambda other: gap[other]["mean"])
        return (
            f"{k}adapt; clearly better than going alone, than the shared model and than no model "
            f"(least over {least}: {_said(gap[least])})."
        )
    if not better:
        return f"{k}nothing clear: adapting cannot be told apart from {listed(rest)}."
    advice = "do not go alone; adapting" if LOCAL in better else "adapting"
    return f"{k}{advice} is clearly better than {listed(better)}, not clearly than {listed(rest)}."


def _said(gap: Mapping[str, float]) -> str:
    return f"log-loss {gap['mean']:+.3f}, 95 % interval {gap['low']:+.3f} to {gap['high']:+.3f}"


def show(found: Mapping[str, Any]) -> None:
    """Print means, differences and sentences on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for metric, name in (("auroc", "AUROC"), ("log-loss", "log-loss")):
        title = f"{found['task']}: {name}, mean of {found['draws']} draws"
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
        for column in ("k", "", name, "adapted minus it, 95 % interval"):
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for row in found["rows"]:
            table.add_row(str(row["k"]), ADAPTED, f"{row['means'][ADAPTED][metric]:.3f}", "")
            for other in OTHERS:
                gap = row["differences"][other][metric]
                interval = f"{gap['mean']:+.3f}  {gap['low']:+.3f} to {gap['high']:+.3f}"
                table.add_row("", other, f"{row['means'][other][metric]:.3f}", interval)
        console.print(table)
    for line in (*(row["sentence"] for row in found["rows"]), CAUTION):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
