"""The picture of a card: left-out probabilities against what was true, as SVG text."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from common.intervals import share_interval
from common.pages import Html

Floats = NDArray[np.float64]
SIZE, LEFT, TOP, GAP = 300, 60, 34, 90
BLUE, ORANGE, GREY = "#003f72", "#b34700", "#55616d"
PER_GROUP, MOST_GROUPS = 5, 5
"""A point of the calibration plot stands for at least so many patients; there are at most five."""


def groups(p: Floats) -> list[NDArray[np.int64]]:
    """Return the patients [k] in groups of alike probability, equal in size."""
    number = int(np.clip(len(p) // PER_GROUP, 1, MOST_GROUPS))
    return [np.sort(rows) for rows in np.array_split(p.argsort(kind="stable"), number)]


def figure(p: Floats, y: NDArray[np.int64]) -> Html:
    """Return calibration on the left, every patient's left-out probability on the right.

    p, y [k]: left-out probabilities and labels.
    """
    width, height = LEFT + 2 * SIZE + GAP + 20, TOP + SIZE + 56
    parts = [*_frame(LEFT, "Calibration"), *_calibration(p, y)]
    parts += [*_frame(LEFT + SIZE + GAP, "Each patient, left out"), *_dots(p, y)]
    label = "Calibration of left-out predictions; the tables hold the numbers."
    return Html(
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="#1c2733">{"".join(parts)}</svg>'
    )


def _frame(left: float, title: str) -> Iterator[str]:
    bottom = TOP + SIZE
    yield _text(left, TOP - 14, title, anchor="start", weight="bold")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - tick * SIZE
        yield _line(left, y, left + SIZE, y, "#e4e4e4")
        yield _text(left - 8, y + 4, f"{tick:g}", anchor="end")
    yield _line(left, TOP, left, bottom, GREY)
    yield _line(left, bottom, left + SIZE, bottom, GREY)


def _calibration(p: Floats, y: NDArray[np.int64]) -> Iterator[str]:
    bottom = TOP + SIZE
    yield _line(LEFT, bottom, LEFT + SIZE, TOP, GREY, dashes="4 4")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _text(LEFT + tick * SIZE, bottom + 18, f"{tick:g}")
    for rows in groups(p):
        count, n = int(y[rows].sum()), len(rows)
        low, high = share_interval(count, n)
        x, share = LEFT + float(p[rows].mean()) * SIZE, bottom - count / n * SIZE
        yield _line(x, bottom - low * SIZE, x, bottom - high * SIZE, BLUE, width=2)
        yield f'<circle cx="{x:.1f}" cy="{share:.1f}" r="5" fill="{BLUE}"/>'
    yield _text(LEFT + SIZE / 2, bottom + 40, "predicted, mean of a group of patients")
    yield _text(LEFT - 42, TOP + SIZE / 2, "share that has the diagnosis", turned=True)


def _dots(p: Floats, y: NDArray[np.int64]) -> Iterator[str]:
    left, bottom = LEFT + SIZE + GAP, TOP + SIZE
    for label, place, color in ((0, 0.28, ORANGE), (1, 0.72, BLUE)):
        own = np.sort(p[y == label])
        name = f"{'with' if label else 'without'} ({len(own)})"
        yield _text(left + place * SIZE, bottom + 18, name)
        shape = _square if label else _ring
        for i, value in enumerate(own):
            x = left + (place + ((i * 0.618) % 1 - 0.5) * 0.28) * SIZE
            yield shape(x, bottom - float(value) * SIZE, color)
    yield _text(left + SIZE / 2, bottom + 40, "by what they have")
    yield _text(left - 42, TOP + SIZE / 2, "left-out probability", turned=True)


def _square(x: float, y: float, color: str) -> str:
    return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{color}"/>'


def _ring(x: float, y: float, color: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="none" stroke="{color}" '
        'stroke-width="1.6"/>'
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, color: str, *, width: float = 1, dashes: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", weight: str = "", turned: bool = False
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{bold}{turn}>{text}</text>'
