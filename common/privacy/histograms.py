"""How good a model is at many hospitals, from one noisy histogram of each: the hospital's part.

A site counts its patients by class and by the bin of their score; each has one vote. Noise of `std`
votes goes on every count before it leaves, and the coordinator sees sums. Emptying a slot moves the
counts by 1, exchanging its patient by the square root of 2 (Euclidean norm): a release costs what
`accounting.MetricReleases` says. Ranks, curves and losses never leave: of few patients they show
labels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import PrivacyError, TableError

BINS = 10
"""Of equal width over the scores 0 to 1; more of them make the metrics noisier."""
CELLS = 2 * BINS
"""Counts that leave a site, in one flat vector: negatives first."""
FEWEST_SITES, FEWEST_PER_CLASS = 3, 10
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Gaussian = Callable[[int, float], Floats]
"""(dim, std) to secret noise [dim]."""


class Declared(NamedTuple):
    """A site's public numbers of patients by class, agreed before anybody looks at data."""

    negatives: int
    positives: int


def votes(scores: Floats, labels: Integers, slots: Integers) -> Integers:
    """Return the site's counts [2, BINS]: negatives first, and scores ascending.

    scores, labels, slots: [rows]. A row without slot (below 0), with a label other than 0 and 1, or
    with a score that is not from 0 to 1 has no vote. Whether and where a patient votes must follow
    from its own row and from what was released before: a score of a model that was adapted to the
    site's other patients moves many votes when one of them is exchanged, and nothing here shows it.

    Raises:
        TableError: a slot has two rows.
    """
    taken = slots[slots >= 0]
    if len(np.unique(taken)) < len(taken):
        raise TableError(
            "a patient would have two votes",
            where="evaluation",
            remedy="give one row a patient",
        )
    inside = (scores >= 0) & (scores <= 1)  # not so if NaN
    counted = (slots >= 0) & ((labels == 0) | (labels == 1)) & inside
    place = np.minimum((scores[counted] * BINS).astype(np.int64), BINS - 1)
    cells = labels[counted] * BINS + place
    return np.bincount(cells, minlength=2 * BINS).astype(np.int64).reshape(2, BINS)


def noisy(counts: Integers, *, std: float, gaussian: Gaussian) -> Integers:
    """Return the counts [2, BINS] with rounded noise, ready to leave; they may be negative.

    Rounding afterwards takes nothing from the promise: the counts are whole numbers.

    Raises:
        PrivacyError: std is no positive number, or the noise is not what was asked for.
    """
    noise = np.asarray(gaussian(counts.size, std) if std > 0 else np.nan)
    if noise.shape != (counts.size,) or not np.isfinite(noise).all() or not noise.any():
        raise PrivacyError(
            f"there is no noise of {std:g} votes for these counts",
            where="evaluation",
            remedy="give a positive standard deviation and one number a count",
        )
    released: Integers = counts + np.rint(noise).astype(np.int64).reshape(counts.shape)
    return released


def require_sizes(declared: Sequence[Declared]) -> None:
    """Return if the declared sizes allow an evaluation.

    Real counts do not enter: a refusal that depends on them tells about them.

    Raises:
        PrivacyError: fewer than 3 sites, or fewer than 10 declared patients of a class at one.
    """
    if len(declared) < FEWEST_SITES:
        raise PrivacyError(
            f"{len(declared)} sites are too few for a sum",
            where="evaluation",
            remedy=f"evaluate at {FEWEST_SITES} sites or more",
        )
    if min(min(site) for site in declared) < FEWEST_PER_CLASS:
        raise PrivacyError(
            f"a site declares fewer than {FEWEST_PER_CLASS} patients of a class",
            where="evaluation",
            remedy="leave this diagnosis to other sites",
        )
