"""What `wardround benefit` does: is adapting worth it at this hospital, against going alone?

For each k, random patients of the hospital are taken as labelled, in many draws, and all others
judge. The interval of a difference leaves out each patient in turn, from support and judging alike
(common/intervals.py): draws reuse patients, so their own spread would promise too much.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from client.benefit_words import OTHERS, sentence
from client.evidence import ADAPTED, LOCAL, simpler
from client.own import Own, choose_study, find_task, read_labelled
from common.errors import SettingsError, TableError
from common.intervals import Interval, jackknife_interval
from common.jit import COMPILED
from common.metrics import log_losses
from common.personal.candidates import panel
from common.personal.gate import mix
from common.personal.logistic import local_logistic
from common.personal.portfolio import Portfolio
from common.personal.published import read_model
from common.randomness import generator

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
GRID = (5, 10, 20, 50, 100, 200, 500)
JUDGES, PER_CLASS = 16, 4
"""So many patients, and so many of each class, must be left to judge."""
TRIES = 200
"""A draw whose rest lacks a class is drawn anew, at most so often."""
METRICS = ("auroc", "brier", "log-loss")


class Draws(NamedTuple):
    """Supports [D, k] and which patients judge, [D, n]."""

    support: Integers
    judging: NDArray[np.bool_]


def benefit(
    model: Path,
    data: Path,
    task: str,
    ks: Sequence[int] | None,
    *,
    study: Path | None = None,
    site: str = "",
    draws: int = 50,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what adapting gains at each k, as JSON values.

    Raises:
        WardroundError: a folder, the study or the table cannot be used, or patients are too few.
    """
    torch.set_num_threads(1)
    portfolio = read_model(model)
    chosen = choose_study(portfolio, study, where=str(model))
    rule = find_task(chosen, task, where=str(study or model))
    own = read_labelled(data, chosen, rule, site=site)
    rows = [
        _at(portfolio, task, own, draw(own.y, k, draws, seed=seed, where=str(data)))
        for k in possible(own.y, ks, where=str(data))
    ]
    return {
        "schema": 1,
        "task": task,
        "patients": len(own.y),
        "positives": int(own.y.sum()),
        "draws": draws,
        "compiled": COMPILED,
        "rows": rows,
    }


def possible(y: Integers, wanted: Sequence[int] | None, *, where: str) -> list[int]:
    """Return the numbers of labelled patients that leave enough to judge on.

    Raises:
        TableError: there is none. SettingsError: a wanted one is none of them.
    """
    rarer = int(min(y.sum(), len(y) - y.sum()))
    most = len(y) - JUDGES if rarer >= PER_CLASS + 1 else 0
    fitting = [k for k in wanted or GRID if k <= most]
    if not wanted and not fitting:
        raise TableError(
            f"{len(y)} labelled patients, {rarer} of the rarer class, are too few to judge",
            where=where,
            remedy=f"label at least {GRID[0] + JUDGES}, more than {PER_CLASS} of each class",
        )
    if too_many := sorted(set(wanted or ()) - set(fitting)):
        raise SettingsError(
            f"k = {too_many[0]} leaves too few of {len(y)} patients to judge",
            where=where,
            remedy=f"give --k up to {most}" if most else "label more of the rarer class",
        )
    return sorted(set(fitting))


def draw(y: Integers, k: int, number: int, *, seed: int, where: str) -> Draws:
    """Return random supports of k at natural prevalence; the same draw has the same order at any k.

    Raises:
        SettingsError: the rest hardly ever holds enough of each class.
    """
    supports = []
    for d in range(number):
        for attempt in range(TRIES):
            order = generator(seed, "benefit", d, attempt).permutation(len(y))
            if np.bincount(y[order[k:]], minlength=2).min() >= PER_CLASS:
                supports.append(order[:k])
                break
        else:
            raise SettingsError(
                f"with k = {k} the rest hardly ever has {PER_CLASS} patients of each class",
                where=where,
                remedy="give a smaller --k, or label more of the rarer class",
            )
    support = np.array(supports)
    judging = np.ones((number, len(y)), dtype=bool)
    np.put_along_axis(judging, support, values=False, axis=1)
    return Draws(support, judging)


def _at(portfolio: Portfolio, task: str, own: Own, drawn: Draws) -> dict[str, Any]:
    """Return one k's means, differences and sentence."""
    ways = predicted(portfolio, task, own, drawn)
    y, k = own.y, drawn.support.shape[1]
    each = {name: {m: Judged(m, y, p, drawn.judging) for m in METRICS} for name, p in ways.items()}
    means = {name: {m: one.mean() for m, one in found.items()} for name, found in each.items()}
    differences: dict[str, dict[str, Any]] = {}
    for other in OTHERS:
        differences[other] = {}
        for m in METRICS:
            low, high = difference_interval(each[ADAPTED][m], each[other][m])
            value = means[ADAPTED][m] - means[other][m]
            differences[other][m] = {"mean": value, "low": low, "high": high}
    row = {"k": k, "means": means, "differences": differences}
    return row | {"sentence": sentence(row)}


def predicted(portfolio: Portfolio, task: str, own: Own, drawn: Draws) -> dict[str, Floats]:
    """Return the probabilities [D, n] of all patients by each way, from each support."""
    starts, rule = portfolio.for_task(task)
    everyone, labels = own.x.double(), torch.from_numpy(own.y)
    x, y = everyone[drawn.support], labels[drawn.support]
    made = panel(starts, x, y, everyone)
    mixed = mix(rule.gate.for_patients(x.shape[1]), made, y.float())
    ways = simpler(made, made.logits) | {ADAPTED: mixed.logits.double().sigmoid().numpy()}
    return ways | {LOCAL: local_logistic(x, y, everyone)}


class Judged:
    """A way's metric in each draw, over the judging patients or without one of them."""

    def __init__(self, metric: str, y: Integers, p: Floats, judging: NDArray[np.bool_]) -> None:
        self.judging = judging
        make = _areas if metric == "auroc" else _losses
        self.whole, self.without = make(metric, y, p, judging)  # [D]; [D, n], NaN if in the support

    def mean(self) -> float:
        """Return the mean over draws."""
        return float(self.whole.mean())


def _losses(
    metric: str, y: Integers, p: Floats, judging: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    each = (p - y) ** 2 if metric == "brier" else log_losses(y, p)
    total, n = np.where(judging, each, 0).sum(1, keepdims=True), judging.sum(1, keepdims=True)
    return (total / n)[:, 0], np.where(judging, (total - each) / (n - 1), np.nan)


def _areas(
    metric: str, y: Integers, p: Floats, judging: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return areas under the ROC curve, and without each patient; the metric is the only one."""
    whole, without = np.empty(len(p)), np.full(p.shape, np.nan)
    for d, rows in enumerate(map(np.flatnonzero, judging)):
        own, label = p[d, rows], y[rows]
        above = own[label == 1][:, None] - own[label == 0]
        wins = (above > 0) + 0.5 * (above == 0)
        whole[d] = wins.mean()
        m, n = wins.shape
        without[d, rows[label == 1]] = (wins.sum() - wins.sum(1)) / ((m - 1) * n)
        without[d, rows[label == 0]] = (wins.sum() - wins.sum(0)) / (m * (n - 1))
    return whole, without


def difference_interval(one: Judged, other: Judged) -> Interval:
    """Return the 95 % interval of the mean difference.

    Without a patient: the mean over the draws that do not adapt to that patient, judged by the
    others. A patient that stands in every support has no such value and is left as the mean.
    """
    value = one.mean() - other.mean()
    gap = one.without - other.without
    counted = (~np.isnan(gap)).sum(0)
    without = np.where(counted, np.nansum(gap, axis=0) / np.maximum(counted, 1), value)
    return jackknife_interval(value, without)
