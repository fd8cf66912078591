"""Prediction sets with stated coverage, and abstention.

A patient's score for a label is how little the model gives it, 1 - p. A label is in the set if its
score is no larger than `coverage` of the scores of patients who have that label: so of those with
the diagnosis, and of those without, a share of `coverage` has its true label in the set (label-
conditional conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World",
2005, section 4.5). Ten patients cannot say what nine of ten patients' scores are. So the scores are
those of the federation's validation tasks at the same k, each task counting alike (hierarchical:
Lee, Barber, Willett, arXiv 2306.06342), and, the more there are, of the hospital's own support.

A patient of whom the support says less than of 99 in 100 validation patients is unlike those seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.personal.gate import Gate, mix
from common.personal.learning import Judged

Floats = NDArray[np.float64]
GRID = np.linspace(0, 1, 201)
"""The federation's scores are kept as so many quantiles."""
TRUST = 20.0
"""The federation's scores count as much as those of so many patients of a label."""
FAMILIAR = 0.99


@dataclass(frozen=True)
class Reference:
    """What validation patients' scores and unlikeness are, at one k.

    scores: by label, quantiles [201] at `GRID`. familiar: the unlikeness of 99 in 100. trust: as
    how many of the hospital's own patients of a label the scores count.
    """

    scores: tuple[Floats, Floats]
    familiar: float
    trust: float = TRUST


def learn_references(gate: Gate, judged: Mapping[int, Sequence[Judged]]) -> dict[int, Reference]:
    """Return the reference at each k from the tasks that the gate was learned on."""
    found = {}
    for k, at in gate.at.items():
        by_label: tuple[list[Floats], list[Floats]] = ([], [])
        unlike = []
        for task in judged[k]:
            p = mix(at, task.panel, task.support_y.float()).logits.sigmoid().double().numpy()
            y = task.y.numpy()
            for label in (0, 1):
                own = scores(p[:, y == label], label)
                by_label[label].append(np.quantile(own, GRID))
            unlike.append(np.quantile(task.panel.unlikeness.double().numpy(), FAMILIAR))
        quantiles = [np.quantile(np.concatenate(parts), GRID) for parts in by_label]
        found[k] = Reference((quantiles[0], quantiles[1]), float(np.mean(unlike)))
    return found


def scores(p: Floats, label: int) -> Floats:
    """Return how little probabilities p of the diagnosis leave to a label."""
    return 1 - p if label else p


def thresholds(reference: Reference, own_p: Floats, own_y: Floats, coverage: float) -> Floats:
    """Return the largest score [2] of each label that is still in the set.

    own_p, own_y [k]: the support's left-out probabilities, and its labels.
    """
    return np.array(
        [
            _quantile(reference, label, scores(own_p[own_y == label], label), coverage)
            for label in (0, 1)
        ]
    )


def _quantile(reference: Reference, label: int, own: Floats, coverage: float) -> float:
    """Return the quantile of the federation's scores, the hospital's own, and one without bound.

    The unbounded score, the new patient's own, makes up for having few scores of the hospital. It
    counts as much of one patient as these have of the say: the federation has scores enough.
    """
    trust = reference.trust
    values = np.concatenate([reference.scores[label], own])
    weights = np.concatenate([np.full(len(GRID), trust / len(GRID)), np.ones(len(own))])
    order = values.argsort()
    unbounded = len(own) / (trust + len(own)) if trust else 1.0
    share = weights[order].cumsum() / (weights.sum() + unbounded)
    reached = np.flatnonzero(share >= coverage)
    return float(values[order][reached[0]]) if len(reached) else 1.0


def prediction_sets(p: Floats, limits: Floats) -> NDArray[np.bool_]:
    """Return which labels are in the set of each patient, [n, 2], for probabilities p [n]."""
    return np.stack([scores(p, label) <= limits[label] for label in (0, 1)], axis=-1)
