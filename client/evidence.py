"""How good a personal model is on the k patients it was adapted to, each left out in turn.

Never alone: zero-shot, zero-shot with an intercept, local-only and prevalence-only stand beside it,
and every candidate with its weight.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.personal import Fit, Personal
from common.intervals import Interval, auroc_interval, mean_interval, share_interval
from common.metrics import areas, log_losses
from common.personal.candidates import Candidate, Panel
from common.personal.conformal import prediction_sets, thresholds
from common.personal.logistic import local_logistic

Floats = NDArray[np.float64]
ADAPTED, ZERO, INTERCEPT = "adapted", "zero-shot", "zero-shot + intercept"
LOCAL, PREVALENCE = "local-only", "prevalence-only"
FAMILIES = {ZERO: ("zero", 0.0), INTERCEPT: ("intercept", 1.0), PREVALENCE: ("prevalence", 0.0)}
"""The simpler ways that are candidates, or means of them over the starts."""
WAYS = (ADAPTED, ZERO, INTERCEPT, LOCAL, PREVALENCE)
FEW = 5
"""Below so many patients no interval is given."""
LEAVE_ONE_OUT, FOLDS = 20, 10
"""Local-only is fitted anew for each patient below so many, else for each of ten folds."""


class Value(NamedTuple):
    """A mean with its 95 % interval; None where it cannot be had."""

    mean: float | None
    low: float | None = None
    high: float | None = None


class Score(NamedTuple):
    """How good one way to predict is on left-out patients."""

    auroc: Value
    brier: Value
    log_loss: Value


class Row(NamedTuple):
    """A candidate's weight and mean leave-one-out log-loss; `struck` says why it has no weight."""

    name: str
    weight: float
    log_loss: float | None
    struck: str


class Evidence(NamedTuple):
    """All that a card says. p, y [k]: the adapted model's left-out probabilities, and labels.

    gain: log-loss of the adapted model minus that of the best simpler way, `best`.
    covered: by label, the share of left-out patients whose set holds their label.
    """

    scores: dict[str, Score]
    candidates: list[Row]
    best: str
    gain: Value
    covered: dict[str, Value]
    p: Floats
    y: NDArray[np.int64]


def weigh(personal: Personal, fitted: Fit) -> Evidence:
    """Return the evidence on the patients of the support."""
    y = personal.y.numpy().astype(np.int64)
    ways = left_out(personal, fitted)
    losses = {name: log_losses(y, p) for name, p in ways.items()}
    means = {name: float(loss.mean()) for name, loss in losses.items() if name != ADAPTED}
    best = min(means, key=lambda name: means[name])
    return Evidence(
        scores={name: _score(y, p, ranks=name != PREVALENCE) for name, p in ways.items()},
        candidates=_rows(personal, fitted),
        best=best,
        gain=_value(losses[ADAPTED] - losses[best], y),
        covered=_coverage(personal, fitted, ways[ADAPTED], y),
        p=ways[ADAPTED],
        y=y,
    )


def left_out(personal: Personal, fitted: Fit) -> dict[str, Floats]:
    """Return the probabilities [k] of each way, for each patient from the others."""
    x, made = personal.x.double(), fitted.panel
    ways = {name: p[0] for name, p in simpler(made, made.left_out).items()}
    ways[ADAPTED] = fitted.mixed.left_out[0].double().sigmoid().numpy()
    ways[LOCAL] = _local(x, personal.y.long())
    return {name: ways[name] for name in WAYS}


def simpler(made: Panel, logits: Tensor) -> dict[str, Floats]:
    """Return the probabilities [D, m] of the simpler ways, by the candidates' logits [C, D, m]."""
    kinds = [(c.family, c.strength) for c in made.candidates]
    return {
        name: logits[[kind == family for kind in kinds]].mean(0).double().sigmoid().numpy()
        for name, family in FAMILIES.items()
    }


def _local(x: Tensor, y: Tensor) -> Floats:
    k = len(y)
    fold = torch.arange(k) % (k if k < LEAVE_ONE_OUT else FOLDS)
    p = np.full(k, 0.5)
    for number in range(int(fold.max()) + 1 if k > 1 else 0):
        rest, held = fold != number, fold == number
        p[held.numpy()] = local_logistic(x[None, rest], y[None, rest], x[held])[0]
    return p


def _score(y: NDArray[np.int64], p: Floats, *, ranks: bool) -> Score:
    positives = int(y.sum())
    area = Value(None)
    if ranks and 0 < positives < len(y):
        value = float(areas(y, p[None])[0])
        area = Value(value, *auroc_interval(value, positives, len(y) - positives))
    return Score(area, _value((p - y) ** 2, y), _value(log_losses(y, p), y))


def _value(values: Floats, y: NDArray[np.int64]) -> Value:
    if len(y) < FEW:
        return Value(float(values.mean()))
    return Value(float(values.mean()), *mean_interval(values, y))


def _rows(personal: Personal, fitted: Fit) -> list[Row]:
    """Return the candidates, the weightiest first."""
    y, made = personal.y.numpy().astype(np.int64), fitted.panel
    found = []
    for i, candidate in enumerate(made.candidates):
        logits = made.left_out[i, 0].double()
        finite = bool(torch.isfinite(logits).all() and torch.isfinite(made.logits[i, 0]).all())
        loss = float(log_losses(y, logits.sigmoid().numpy()).mean()) if finite else None
        struck = _struck(candidate, fitted, finite=finite)
        found.append(Row(candidate.name, float(fitted.mixed.weights[i, 0]), loss, struck))
    return sorted(found, key=lambda row: -row.weight)


def _struck(candidate: Candidate, fitted: Fit, *, finite: bool) -> str:
    if not finite:
        return "its predictions are not finite"
    return "" if candidate.name in fitted.at.log_weights else "the gate never saw it"


def _coverage(personal: Personal, fitted: Fit, p: Floats, y: NDArray[np.int64]) -> dict[str, Value]:
    """Return how often the set of a patient, made without that patient, holds the true label."""
    k, inside = len(y), np.zeros(len(y), dtype=bool)
    for i in range(k):
        rest = np.arange(k) != i
        limits = thresholds(fitted.reference, p[rest], y[rest], personal.coverage)
        inside[i] = prediction_sets(p[i : i + 1], limits)[0, y[i]]
    whole = {"all": np.ones(k, dtype=bool), "with": y == 1, "without": y == 0}
    return {name: _share(inside[rows]) for name, rows in whole.items()}


def _share(inside: NDArray[np.bool_]) -> Value:
    if not len(inside):
        return Value(None)
    return Value(float(inside.mean()), *share_interval(int(inside.sum()), len(inside)))


def as_json(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence without any patient's own probability."""
    return {
        "scores": {
            n: {m: v._asdict() for m, v in s._asdict().items()} for n, s in evidence.scores.items()
        },
        "candidates": [row._asdict() for row in evidence.candidates],
        "best_simpler": evidence.best,
        "log_loss_difference": evidence.gain._asdict(),
        "coverage": {name: value._asdict() for name, value in evidence.covered.items()},
    }


def known(interval: Value) -> Interval | None:
    """Return a value's interval, if it has one."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high
