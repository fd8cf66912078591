"""The pictures of a run's report, as SVG text to stand inside an HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.metrics import HIGHER_IS_BETTER
from simulation.drawing import (
    REFERENCE,
    REFERENCE_LINE,
    by_number,
    curves,
    figure,
    legend,
    look,
    mark,
    shade,
    svg,
    title,
    write,
)
from simulation.evaluation import TRUTH
from simulation.summary import ALL
from simulation.verdict import main_arm, overall

Results = Mapping[str, Any]


def adaptation_curves(results: Results) -> str:
    """Return every metric over k: mean over the held-out tasks with its interval, for each arm."""
    with look():
        sheet = figure(6.8)
        grid = sheet.subplots(2, 2, height_ratios=(1.25, 1))
        reference = prevalence_alone(results)
        for axes, metric in zip(grid.flat, ("auroc", "brier", "auprc", "log-loss"), strict=True):
            axes.set_title(title(metric))
            curves(axes, overall(results, metric), main_arm(results))
            if metric in reference:
                axes.axhline(reference[metric], label=REFERENCE, zorder=1, **REFERENCE_LINE)
            if not HIGHER_IS_BETTER[metric]:
                axes.set_ylim(bottom=0)
        legend(sheet, grid.flat[0])
        return svg(sheet, "adaptation", "Adaptation curves; the tables below hold the numbers.")


def difference_curves(results: Results) -> str:
    """Return the paired differences over k: the algorithm minus each other arm but the truth."""
    main = main_arm(results)
    with look():
        sheet = figure(3.6)
        panels = sheet.subplots(1, 2)
        for axes, metric in zip(panels, ("auroc", "brier"), strict=True):
            rows = {
                (d["minus"], d["k"]): d
                for d in results["differences"]
                if d["metric"] == metric and d["minus"] != TRUTH
            }
            axes.set_title(f"{title(metric).split(' (')[0]}: {main} minus another arm")
            axes.axhline(0, color="#222222", linewidth=1)
            curves(axes, rows, main)
            shade(axes, main, upper=HIGHER_IS_BETTER[metric])
        legend(sheet, panels[0])
        return svg(sheet, "differences", "Paired differences; a table below holds the numbers.")


def learning_curves(results: Results) -> str:
    """Return validation AUROC and log-loss over the rounds."""
    rows = results["learning_curve"]
    with look():
        sheet = figure(3.2)
        panels = sheet.subplots(1, 2)
        for axes, metric in zip(panels, ("auroc", "log-loss"), strict=True):
            axes.set_title(f"{title(metric)}, validation tasks")
            for arm in dict.fromkeys(row["arm"] for row in rows):
                points = [r for r in rows if (r["arm"], r["metric"]) == (arm, metric)]
                x, y = ([p[key] for p in points] for key in ("round", "mean"))
                axes.plot(x, y, label=arm, **mark(arm, main_arm(results)).line())
            by_number(axes, "round")
        legend(sheet, panels[0])
        return svg(sheet, "learning", "Learning curves on the validation tasks over the rounds.")


def overview(results: Results, path: Path) -> None:
    """Draw AUROC and Brier score over k, and learning over the rounds, to an .svg or .png file.

    Raises:
        SettingsError: the file's name has another ending.
    """
    main, rounds = main_arm(results), results["learning_curve"]
    with look():
        sheet = figure(3.4)
        panels = sheet.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
        for axes, metric in zip(panels, ("auroc", "brier"), strict=False):
            axes.set_title(title(metric))
            curves(axes, overall(results, metric), main)
        panels[2].set_title("Validation log-loss")
        for arm in dict.fromkeys(row["arm"] for row in rounds):
            points = [r for r in rounds if (r["arm"], r["metric"]) == (arm, "log-loss")]
            x, y = ([p[key] for p in points] for key in ("round", "mean"))
            panels[2].plot(x, y, **mark(arm, main).line())
        by_number(panels[2], "round")
        panels[2].locator_params(axis="x", nbins=5)
        legend(sheet, panels[0])
        write(sheet, path, "Adaptation and learning curves.")


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
