"""The pictures of a comparison's report, as SVG text."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics import HIGHER_IS_BETTER
from simulation.compare.report_arms import CANDIDATE, candidates, headline, of, paired
from simulation.compare.results import TESTED
from simulation.compare.scoring import GATED
from simulation.drawing import (
    MAIN_MARK,
    curves,
    figure,
    legend,
    look,
    over_k,
    shade,
    svg,
    title,
)
from simulation.verdict import overall

Results = Mapping[str, Any]
Row = Mapping[str, Any]

AHEAD = "gated minus the best baseline"
FAMILIES = {"zero": "o", "intercept": "x", "head": "^", "full": "s", "inputs": "D", "steps": "v"}
COLORS = ("#009E73", "#D55E00", "#56B4E9", "#B0538A", "#CC8400", "#777777")
"""A colour for each start, "none" first."""
NO_START = "none"


def arm_curves(results: Results) -> str:
    """Return AUROC and Brier score over k of the arms that matter most."""
    with look():
        sheet = figure(4.4)
        panels = sheet.subplots(1, 2)
        for axes, metric in zip(panels, TESTED, strict=True):
            axes.set_title(title(metric))
            curves(axes, of(overall(results, metric), headline(results)), GATED)
        legend(sheet, panels[0])
        return svg(sheet, "arms", "Adaptation curves; the tables below hold the numbers.")


def ahead_curves(results: Results) -> str:
    """Return the gate minus the best baseline over k, whose names stand under the axis."""
    with look():
        sheet = figure(5.2)
        panels = sheet.subplots(2, 1)
        for axes, metric in zip(panels, TESTED, strict=True):
            lines = [line for line in results["compared"] if line["metric"] == metric]
            tests = paired(results, metric)
            rows = {
                (AHEAD, line["k"]): tests[line["best_baseline"], line["k"]]
                for line in lines
                if (line["best_baseline"], line["k"]) in tests
            }
            axes.set_title(f"{title(metric).split(' (')[0]}: {AHEAD}")
            axes.axhline(0, color="#222222", linewidth=1)
            curves(axes, rows, AHEAD)
            names = [f"{line['k']}\n{line['best_baseline']}" for line in lines]
            axes.set_xticks(range(len(names)), names)
            axes.set_xlabel("labelled patients, k, and the best baseline")
            shade(axes, GATED, upper=HIGHER_IS_BETTER[metric])
        return svg(sheet, "ahead", "The gate minus the best baseline; a table holds the numbers.")


def candidate_curves(results: Results) -> str:
    """Return AUROC and Brier score over k of the gate, thick, and of its candidates alone."""
    starts = list(dict.fromkeys([NO_START, *(_parts(arm)[0] for arm in candidates(results))]))
    with look():
        sheet = figure(4.8)
        panels = sheet.subplots(1, 2)
        for axes, metric in zip(panels, TESTED, strict=True):
            rows = overall(results, metric)
            ks = sorted({k for _, k in rows})
            axes.set_title(title(metric))
            for arm in candidates(results):
                if _parts(arm)[1] != "prevalence":
                    _plot(axes, rows, arm, ks, _candidate_line(arm, starts))
            _plot(axes, rows, GATED, ks, MAIN_MARK.line())
            over_k(axes, ks)
        _keys(panels[0], starts)
        legend(sheet, panels[0])
        return svg(sheet, "candidates", "The gate and its candidates over k.")


def _parts(arm: str) -> tuple[str, str]:
    """Return the start and the family of a candidate, such as maml and full."""
    start, _, family = arm.removeprefix(CANDIDATE).rpartition("/")
    return start or NO_START, family


def _candidate_line(arm: str, starts: Sequence[str]) -> dict[str, Any]:
    start, family = _parts(arm)
    color = COLORS[starts.index(start) % len(COLORS)]
    marker = FAMILIES.get(family, ".")
    return {"color": color, "marker": marker, "linewidth": 0.8, "markersize": 4, "alpha": 0.85}


def _plot(
    axes: Any,
    rows: Mapping[tuple[str, int], Row],
    arm: str,
    ks: Sequence[int],
    line: dict[str, Any],
) -> None:
    found = [(place, rows[arm, k]["mean"]) for place, k in enumerate(ks) if (arm, k) in rows]
    axes.plot([x for x, _ in found], [y for _, y in found], **line)


def _keys(axes: Any, starts: Sequence[str]) -> None:
    """Give the axes entries of a legend: the gate, the starts' colours, the families' markers."""
    axes.plot([], [], label=GATED, **MAIN_MARK.line())
    for start, color in zip(starts, COLORS, strict=False):
        name = "no start: local" if start == NO_START else f"from {start}"
        axes.plot([], [], color=color, linewidth=2, label=name)
    for family, marker in FAMILIES.items():
        axes.plot([], [], color="#555555", linestyle="", marker=marker, markersize=5, label=family)
