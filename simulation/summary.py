"""From scores to rows: means over held-out tasks, with intervals, and paired differences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import METRICS
from simulation.evaluation import Scores
from simulation.statistics import cluster_bootstrap

Floats = NDArray[np.float64]
MANY_SITES = 5
"""From this many held-out sites on, sites are resampled; below it, their tasks."""
ALL = "all"
RANGES = {"log-loss": (0.0, math.inf)} | dict.fromkeys(
    ("auroc", "auprc", "brier", "ece"), (0.0, 1.0)
)
"""What a metric can be; one that is not named can be any number."""


def rows(
    scores: Scores, site_of: Mapping[str, str], *, dataset: str, scenario: str, seed: int
) -> list[dict[str, Any]]:
    """Return one row per held-out task, k, arm and metric, and rows over all tasks.

    The rows over all use only tasks that are scored at every k, so that a curve over k follows the
    same patients. A task without a calibration slope lacks that row and counts in no mean of it.
    `low` and `high` bound a 95 % interval: for one task from its test patients and draws (normal),
    over all by a two-level bootstrap of sites or tasks and of that uncertainty.
    """
    head = {"dataset": dataset, "scenario": scenario}
    found = []
    for (held, k, arm), metrics in scores.items():
        for metric, (mean, error) in metrics.items():
            low, high = bounded(metric, mean - 1.96 * error, mean + 1.96 * error)
            at = {"held_out": held, "k": k, "arm": arm, "metric": metric}
            found.append(head | at | {"mean": mean, "low": low, "high": high, "tasks": 1})
    tasks = complete_tasks(scores)
    for k, arm in dict.fromkeys((k, arm) for _, k, arm in scores):
        for metric in METRICS:
            known = [t for t in tasks if metric in scores.get((t, k, arm), {})]
            if known:
                values = [scores[t, k, arm][metric] for t in known]
                mean, low, high = _interval(values, [site_of[t] for t in known], seed=seed)
                low, high = bounded(metric, low, high)
                at = {"held_out": ALL, "k": k, "arm": arm, "metric": metric}
                found.append(
                    head | at | {"mean": mean, "low": low, "high": high, "tasks": len(values)}
                )
    return found


def complete_tasks(scores: Scores) -> list[str]:
    """Return the tasks that are scored at every k that any task is scored at."""
    ks = {k for _, k, _ in scores}
    by_task: dict[str, set[int]] = {}
    for held, k, _ in scores:
        by_task.setdefault(held, set()).add(k)
    return [held for held, scored in by_task.items() if scored == ks]


def differences(
    scores: Scores, site_of: Mapping[str, str], arm: str, *, metric: str, seed: int
) -> list[dict[str, Any]]:
    """Return `arm` minus every other arm, paired over tasks: mean and 95 % bootstrap interval.

    Sites are resampled if there are at least MANY_SITES, else tasks. The test patients' own part in
    the uncertainty is left out: it is shared by both arms, to an extent that is not known here.

    With fewer than two tasks there is no interval: `low` and `high` are None.
    """
    tasks = complete_tasks(scores)
    found = []
    for k, other in dict.fromkeys((k, other) for _, k, other in scores if other != arm):
        scored = [t for t in tasks if (t, k, other) in scores]
        pairs = [scores[t, k, arm][metric].mean - scores[t, k, other][metric].mean for t in scored]
        if pairs:
            sites = [site_of[t] for t in scored]
            mean, low, high = _interval([(p, 0.0) for p in pairs], sites, seed=seed)
            known = len(pairs) > 1
            found.append(
                {
                    "k": k,
                    "arm": arm,
                    "minus": other,
                    "metric": metric,
                    "mean": mean,
                    "low": low if known else None,
                    "high": high if known else None,
                    "tasks": len(pairs),
                }
            )
    return found


def _interval(
    values: Sequence[tuple[float, float]], sites: Sequence[str], *, seed: int
) -> tuple[float, float, float]:
    """Return the mean of (value, standard error) pairs and its two-level bootstrap interval."""
    mean, error = np.array(values).T
    clusters = sites if len(set(sites)) >= MANY_SITES else [str(i) for i in range(len(mean))]
    low, high = cluster_bootstrap(mean, clusters, errors=error, seed=seed)
    return float(mean.mean()), low, high


def bounded(metric: str, low: float, high: float) -> tuple[float, float]:
    """Return the interval cut to what the metric can be."""
    least, most = RANGES.get(metric, (-math.inf, math.inf))
    return max(low, least), min(high, most)
