"""The pictures of a report, as SVG text to stand inside an HTML page.

The same results give the same bytes. Letters are drawn as paths, so no font need be installed.
Colours are those of Okabe and Ito (2008), told apart by the colour-blind; marker and dashes say the
same again for a print in grey.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.metrics import HIGHER_IS_BETTER
from simulation.evaluation import TRUTH
from simulation.summary import ALL
from simulation.verdict import LABELS, main_arm, overall

Results = Mapping[str, Any]
Row = Mapping[str, Any]

WIDTH = 9.0  # inches
_LOOK: dict[str, Any] = {
    "svg.hashsalt": "wardround",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.handlelength": 3.6,
}
_NOTHING = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Mark:
    """How an arm is drawn."""

    color: str
    marker: str
    dashes: str | tuple[float, Sequence[float]]
    width: float = 1.4
    filled: bool = False

    def line(self) -> dict[str, Any]:
        """Return the arguments of a plotted line."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.dashes,
            "linewidth": self.width,
            "markersize": 6.5 if self.filled else 5.5,
            "markerfacecolor": self.color if self.filled else "white",
            "zorder": 4 if self.filled else 3,
        }


MARKS = {
    "local-logistic": Mark("#009E73", "D", (0, (1, 1.5))),
    "local-network": Mark("#B0538A", "v", (0, (5, 1.5, 1, 1.5, 1, 1.5))),
    "fedavg": Mark("#CC8400", "^", (0, (6, 1.5, 1, 1.5))),
    "fedavg-finetune": Mark("#D55E00", "s", (0, (4, 1.5))),
    TRUTH: Mark("#777777", "_", (0, (8, 3)), width=1.0),
}
MAIN_MARK = Mark("#003F72", "o", "solid", width=2.8, filled=True)
_REFERENCE: dict[str, Any] = {"color": "#444444", "linewidth": 0.8, "linestyle": (0, (2, 2))}
REFERENCE = "prevalence alone"
"""What is reached by giving every test patient of a task the task's share of positives."""


def adaptation_curves(results: Results) -> str:
    """Return every metric over k: mean over the held-out tasks with its interval, for each arm."""
    with _look():
        figure = Figure(figsize=(WIDTH, 6.8), layout="constrained")
        grid = figure.subplots(2, 2, height_ratios=(1.25, 1))
        reference = prevalence_alone(results)
        for axes, metric in zip(grid.flat, ("auroc", "brier", "auprc", "log-loss"), strict=True):
            axes.set_title(_title(metric))
            _curves(axes, overall(results, metric), main_arm(results))
            if metric in reference:
                axes.axhline(reference[metric], label=REFERENCE, zorder=1, **_REFERENCE)
            if not HIGHER_IS_BETTER[metric]:
                axes.set_ylim(bottom=0)
        _legend(figure, grid.flat[0])
        return _svg(figure, "adaptation", "Adaptation curves; the tables below hold the numbers.")


def difference_curves(results: Results) -> str:
    """Return the paired differences over k: the algorithm minus each other arm but the truth."""
    main = main_arm(results)
    with _look():
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, metric in zip(panels, ("auroc", "brier"), strict=True):
            rows = {
                (d["minus"], d["k"]): d
                for d in results["differences"]
                if d["metric"] == metric and d["minus"] != TRUTH
            }
            axes.set_title(f"{_title(metric).split(' (')[0]}: {main} minus another arm")
            axes.axhline(0, color="#222222", linewidth=1)
            _curves(axes, rows, main)
            _shade(axes, main, upper=HIGHER_IS_BETTER[metric])
        _legend(figure, panels[0])
        return _svg(figure, "differences", "Paired differences; a table below holds the numbers.")


def learning_curves(results: Results) -> str:
    """Return validation AUROC and log-loss over the rounds."""
    rows = results["learning_curve"]
    with _look():
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, metric in zip(panels, ("auroc", "log-loss"), strict=True):
            axes.set_title(f"{_title(metric)}, validation tasks")
            axes.set_xlabel("round")
            axes.grid(color="#E4E4E4", linewidth=0.6)
            for arm in dict.fromkeys(row["arm"] for row in rows):
                points = [r for r in rows if (r["arm"], r["metric"]) == (arm, metric)]
                mark = _mark(arm, main_arm(results))
                x, y = ([p[key] for p in points] for key in ("round", "mean"))
                axes.plot(x, y, label=arm, **mark.line())
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure, panels[0])
        return _svg(figure, "learning", "Learning curves on the validation tasks over the rounds.")


def prevalence_alone(results: Results) -> dict[str, float]:
    """Return what a constant prediction of each task's prevalence reaches, mean over the tasks.

    The tasks are those of the means: scored at every k. Empty if there is none.
    """
    tasks = complete_tasks(results)
    shares = [
        h["test_positive"] / h["test_patients"]
        for h in results["held_out"]
        if h["held_out"] in tasks
    ]
    if not shares:
        return {}
    p = np.clip(shares, 1e-6, 1 - 1e-6)
    log_loss = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    means = {"auprc": p, "brier": p * (1 - p), "log-loss": log_loss}
    return {"auroc": 0.5} | {metric: float(values.mean()) for metric, values in means.items()}


def complete_tasks(results: Results) -> list[str]:
    """Return the held-out tasks that are scored at every k, which the means are over."""
    scored: dict[str, set[int]] = {}
    for row in results["rows"]:
        if row["held_out"] != ALL:
            scored.setdefault(row["held_out"], set()).add(row["k"])
    every = set().union(*scored.values())
    return [name for name, ks in scored.items() if ks == every]


def _curves(axes: Axes, rows: Mapping[tuple[str, int], Row], main: str) -> None:
    """Draw a line with intervals for each arm, side by side, at evenly spaced k."""
    ks = sorted({k for _, k in rows})
    arms = list(dict.fromkeys(arm for arm, _ in rows))
    shifts = np.linspace(-0.26, 0.26, len(arms)) if len(arms) > 1 else [0.0]
    for arm, shift in zip(arms, shifts, strict=True):
        found = [(i + shift, rows[arm, k]) for i, k in enumerate(ks) if (arm, k) in rows]
        lengths = [_lengths(row) for _, row in found]
        axes.errorbar(
            [x for x, _ in found],
            [row["mean"] for _, row in found],
            yerr=np.transpose(lengths),
            label=arm,
            elinewidth=1.6 if arm == main else 0.9,
            **_mark(arm, main).line(),
        )
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    axes.set_xlim(-0.5, len(ks) - 0.5)
    axes.set_xlabel("labelled patients, k")
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.6)
    for i in range(1, len(ks)):
        axes.axvline(i - 0.5, color="#EEEEEE", linewidth=0.8, zorder=0)


def _lengths(row: Row) -> tuple[float, float]:
    """Return how far the interval reaches below and above the mean; 0, 0 if there is none."""
    if row["low"] is None or row["high"] is None:
        return 0.0, 0.0
    return max(row["mean"] - row["low"], 0.0), max(row["high"] - row["mean"], 0.0)


def _shade(axes: Axes, main: str, *, upper: bool) -> None:
    """Shade the side of zero on which the algorithm is better, and say so."""
    low, high = axes.get_ylim()
    room = 0.11 * (high - low)
    low, high = min(low, 0.0) - room, max(high, 0.0) + room
    axes.axhspan(*((0, high) if upper else (low, 0)), color="#E6EFF7", zorder=0, linewidth=0)
    axes.set_ylim(low, high)
    for y, better in ((0.985, upper), (0.015, not upper)):
        text = f"{main} better" if better else "the other arm better"
        side = "top" if y > 0.5 else "bottom"
        axes.text(0.99, y, text, transform=axes.transAxes, ha="right", va=side, color="#444444")


def _mark(arm: str, main: str) -> Mark:
    return MAIN_MARK if arm == main else MARKS.get(arm, replace(MAIN_MARK, width=1.4))


def _title(metric: str) -> str:
    label = LABELS[metric]
    return label[0].upper() + label[1:]


def _legend(figure: Figure, axes: Axes) -> None:
    """Put one legend over all panels, the arms in their order and the yardstick last."""
    known = zip(*axes.get_legend_handles_labels(), strict=True)
    entries = sorted(known, key=lambda entry: entry[1] == REFERENCE)
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4))


def _look() -> Any:
    return matplotlib.style.context(["default", _LOOK])


def _svg(figure: Figure, name: str, description: str) -> str:
    """Return the figure as an SVG element; its ids begin with `name`, unique in the page."""
    file = StringIO()
    figure.savefig(file, format="svg", metadata=_NOTHING)
    text = file.getvalue()
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
