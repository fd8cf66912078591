"""How a report's pictures are drawn: marks, lines over k with intervals, legends; SVG text.

The same results give the same bytes. Letters are drawn as paths, so no font need be installed.
Colours are those of Okabe and Ito (2008), told apart by the colour-blind; marker and dashes say the
same again for a print in grey.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.errors import SettingsError
from simulation.evaluation import TRUTH
from simulation.verdict import LABELS

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
OTHER_MARK = Mark("#3D9BD1", "p", (0, (3, 1, 1, 1, 1, 1)))
_OWN = "-task"
"""In the name of an arm that was trained for one diagnosis (simulation/compare/cast.py)."""
REFERENCE_LINE: dict[str, Any] = {"color": "#444444", "linewidth": 0.8, "linestyle": (0, (2, 2))}
REFERENCE = "prevalence alone"
"""What is reached by giving every test patient of a task the task's share of positives."""


def figure(height: float) -> Figure:
    """Return an empty figure of that height in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def curves(axes: Axes, rows: Mapping[tuple[str, int], Row], main: str) -> None:
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
            **mark(arm, main).line(),
        )
    over_k(axes, ks)


def over_k(axes: Axes, ks: Sequence[int]) -> None:
    """Let the axes have a place for each k, evenly spaced."""
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


def shade(axes: Axes, main: str, *, upper: bool) -> None:
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


def mark(arm: str, main: str) -> Mark:
    """Return how an arm is drawn; one trained for a diagnosis alone looks like that for all."""
    return MAIN_MARK if arm == main else MARKS.get(arm.replace(_OWN, ""), OTHER_MARK)


def title(metric: str) -> str:
    """Return the metric's name as a heading."""
    label = LABELS[metric]
    return label[0].upper() + label[1:]


def by_number(axes: Axes, name: str) -> None:
    """Give the axes whole numbers from 0 along x, and a light grid."""
    axes.set_xlabel(name)
    axes.grid(color="#E4E4E4", linewidth=0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend(sheet: Figure, axes: Axes) -> None:
    """Put one legend over all panels, the arms in their order and the yardstick last."""
    known = zip(*axes.get_legend_handles_labels(), strict=True)
    entries = sorted(known, key=lambda entry: entry[1] == REFERENCE)
    if entries:
        handles, labels = zip(*entries, strict=True)
        sheet.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4))


def look() -> Any:
    """Return the context that all drawing stands in."""
    return matplotlib.style.context(["default", _LOOK])


def svg(sheet: Figure, name: str, description: str) -> str:
    """Return the figure as an SVG element; its ids begin with `name`, unique in the page."""
    file = StringIO()
    sheet.savefig(file, format="svg", metadata=_NOTHING)
    text = file.getvalue()
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)


def write(sheet: Figure, path: Path, description: str) -> None:
    """Write the figure to an .svg or .png file.

    Raises:
        SettingsError: the file's name has another ending.
    """
    if path.suffix == ".svg":
        path.write_text(svg(sheet, path.stem, description))
    elif path.suffix == ".png":
        sheet.savefig(path, dpi=150)
    else:
        raise SettingsError(
            f"{path.name} is no picture", where=str(path), remedy="name an .svg or .png file"
        )
