"""The figures of docs/concepts.md: what is drawn, from numbers that others have computed."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor

from simulation.concepts.world import GRID, Hospitals
from simulation.drawing import curves, figure, legend, look, over_k, svg
from simulation.verdict import main_arm, overall

INK, GREY, BLUE, ORANGE = "#222222", "#BBBBBB", "#003F72", "#D55E00"
LINES: Mapping[str, Mapping[str, Any]] = {
    "share of the ill": {"color": "#777777", "linestyle": (0, (2, 2))},
    "alone": {"color": ORANGE, "linestyle": (0, (4, 1.5)), "marker": "s"},
    "start as it is": {"color": "#3D9BD1", "linestyle": (0, (6, 1.5, 1, 1.5)), "marker": "^"},
    "start, adapted": {"color": BLUE, "linewidth": 2.8, "marker": "o"},
}
Errors = Mapping[int, Mapping[str, Tensor]]


def start_picture(
    many: Hospitals, start: Tensor, new: Hospitals, ways: Mapping[str, Tensor]
) -> str:
    """Return hospitals with their start [121], and one new hospital [draws, 121] by way."""
    with look():
        sheet = figure(3.3)
        left, right = sheet.subplots(1, 2, sharey=True)
        for risk in many.risk(GRID.expand(len(many.centre), -1)):
            left.plot(GRID, risk, color=GREY, linewidth=1)
        left.plot([], [], color=GREY, label="risk at a training hospital")
        left.plot(GRID, start, color=BLUE, linewidth=2.8, label="the initialization")
        left.set_title("Learned together")
        left.set_ylabel("risk")
        for way, risks in ways.items():
            for i, risk in enumerate(risks):
                name = {"label": way} if i == 0 else {}
                right.plot(GRID, risk, color=LINES[way]["color"], linewidth=1.2, **name)
        truth = new.risk(GRID.expand(len(new.centre), -1))[0]
        right.plot(GRID, truth, color=INK, linestyle=(0, (2, 2)), linewidth=2, label="the truth")
        right.set_title("One new hospital, six times ten labelled patients")
        for axes in (left, right):
            axes.set_xlabel("laboratory value")
            axes.set_ylim(0, 1)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
        return svg(sheet, "start", "Risk curves of hospitals, their start, and a new hospital.")


def error_picture(known: Errors, unlike: Errors) -> str:
    """Return the error of every way over k, at hospitals like the others and unlike them."""
    with look():
        sheet = figure(3.3)
        panels = sheet.subplots(1, 2, sharey=True)
        titles = ("New hospitals like the others", "New hospitals unlike all others")
        for axes, errors, title in zip(panels, (known, unlike), titles, strict=True):
            for way, line in LINES.items():
                means = [float(at[way].mean()) for at in errors.values()]
                axes.plot(range(len(means)), means, label=way, **line)
            axes.set_title(title)
            over_k(axes, list(errors))
        panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel("mean error of the risk")
        legend(sheet, panels[0])
        return svg(sheet, "errors", "Mean error of the risk over the number of labelled patients.")


def demo_picture(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Return AUROC over k of runs of `wardround simulate`, by title."""
    with look():
        sheet = figure(3.4)
        panels = sheet.subplots(1, len(reports), sharey=True)
        for axes, (title, results) in zip(panels, reports.items(), strict=True):
            curves(axes, overall(results, "auroc"), main_arm(results))
            axes.axhline(0.5, color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
            axes.set_title(title)
        panels[0].set_ylabel("AUROC")
        legend(sheet, panels[0])
        return svg(sheet, "demo", "AUROC over labelled patients, a known and a new diagnosis.")


def round_picture() -> str:
    """Return a round, from a hospital's patients to the next initialization."""
    steps = {
        "patients\nnever leave": (0.8, 2.0),
        "adapt to some:\nsupport": (2.45, 2.0),
        "judge on others:\nquery": (4.1, 2.0),
        "better start?\nmeta-gradient": (5.75, 2.0),
        "clip,\nadd noise": (7.4, 2.0),
        "mask": (9.1, 2.0),
        "sum over hospitals:\nmasks cancel": (9.1, 0.5),
        "next\ninitialization": (5.75, 0.5),
    }
    with look():
        sheet = figure(2.6)
        axes = sheet.subplots()
        axes.set(xlim=(0, 10), ylim=(0, 3))
        axes.axis("off")
        _room(axes, (0.0, 1.5, 10.0, 1.4), "#E6EFF7", "each hospital, every round")
        _room(axes, (4.8, 0.0, 5.2, 1.15), "#F3EEE6", "coordinator")
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": BLUE}
        for text, spot in steps.items():
            axes.text(*spot, text, ha="center", va="center", fontsize=7.5, bbox=box, zorder=3)
        spots = list(steps.values())
        for (x, y), (to, _) in pairwise(spots[:6]):
            _arrow(axes, (x + 0.62, y), (to - 0.66, y))
        _arrow(axes, (9.1, 1.72), (9.1, 0.82))
        _arrow(axes, (8.2, 0.5), (6.4, 0.5))
        axes.plot([5.1, 2.45, 2.45], [0.5, 0.5, 0.8], color=INK, linewidth=1)
        _arrow(axes, (2.45, 0.7), (2.45, 1.66))
        axes.text(
            9.0, 1.32, "one vector leaves", color=ORANGE, ha="right", va="center", weight="bold"
        )
        axes.text(2.55, 0.62, "to all hospitals", ha="left", fontsize=8)
        return svg(sheet, "round", "A round: what stays in the hospital and what leaves it.")


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0})


def _room(axes: Any, place: tuple[float, float, float, float], color: str, name: str) -> None:
    """Draw a house that the boxes stand in; place: left, bottom, width, height."""
    x, y, width, height = place
    axes.fill([x, x + width, x + width, x], [y, y, y + height, y + height], color=color, zorder=0)
    axes.text(x + 0.1, y + height - 0.1, name, fontsize=8.5, weight="bold", va="top")
