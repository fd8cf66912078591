"""Who fired which neuron: the sparse columns of a gradient of the first layer.

Dimitrov, Baader, Mueller, Vechev, "SPEAR: Exact Gradient Inversion of Batches in Federated
Learning", NeurIPS 2024, arXiv 2403.03945: a gradient M = Delta X of a layer behind ReLU is the
product of the signals Delta [H, r] and the r patients X; Delta's columns lie in the span of M's
columns and are zero wherever a neuron is off for a patient, so the sparse vectors of that span are
candidates. Meta-gradients have the same form; they are float32 differences, hence the tolerances
and the repeated fits here, which the paper's exact algebra does not need.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

DRAWN, KEPT = 40_000, 1_500
COARSE, FINE = 2e-2, 2e-3
"""Relative size up to which an entry counts as zero, before and after a column is fitted."""
ALIKE = 0.9999
LIKELY = 0.6
"""Cosine to the expected signal from which a column is kept though others have more zeros."""


class Columns(NamedTuple):
    """Candidates: v [c, r] with Q v a column of Delta, up to scale; how like a signal each is."""

    v: Floats
    likeness: Floats

    def best(self, number: int) -> Floats:
        """Return the v [number, r] of those that are most like a signal."""
        return self.v[np.argsort(-self.likeness, kind="stable")[:number]]


def find_columns(q: Floats, scale: Floats, expected: Floats, rng: np.random.Generator) -> Columns:
    """Return candidates in the span of q [H, r], an orthonormal basis of the columns of M / scale.

    scale: the norms [H] of M's rows. expected: a patient's signal [H] if all neurons fired, as far
    as the attacker knows it. The difference of two similar patients' columns is sparser than
    either; it is told by its signs, which the expected signal's do not match.
    """
    v = _through_zeros(q, rng)
    zero = _zeros(q, v, COARSE)
    enough = zero.sum(1) >= q.shape[1] + 2
    v, zero = v[enough], zero[enough]
    likely = _likeness(v @ q.T * scale, zero, expected) > LIKELY
    chosen = np.concatenate([_sparsest(zero, likely), _sparsest(zero, np.ones_like(likely))])
    v, zero = v[chosen], zero[chosen]
    for tolerance in (COARSE, FINE, FINE):
        v = _fit(q, zero)
        zero = _zeros(q, v, tolerance)
    enough = zero.sum(1) >= q.shape[1] - 1 + max(3.0, 0.08 * len(q))
    chosen = _sparsest(zero, enough)
    v, zero = v[chosen], zero[chosen]
    first = ~np.tril(np.abs(v @ v.T) > ALIKE, -1).any(1)
    return Columns(v[first], _likeness(v[first] @ q.T * scale, zero[first], expected))


def _through_zeros(q: Floats, rng: np.random.Generator) -> Floats:
    """Return v [DRAWN, r] of length 1, each with Q v = 0 in r - 1 rows drawn at random."""
    rows = np.argsort(rng.random((DRAWN, len(q))), axis=1)[:, : q.shape[1] - 1]
    system = q[rows]
    regular = system[..., :-1] + 1e-12 * np.eye(q.shape[1] - 1)  # of a rank that is too low
    head = -np.linalg.solve(regular, system[..., -1:])[..., 0]
    v = np.concatenate([head, np.ones((DRAWN, 1))], axis=1)
    scaled: Floats = v / np.linalg.norm(v, axis=1, keepdims=True)
    return scaled


def _zeros(q: Floats, v: Floats, tolerance: float) -> Booleans:
    size: Floats = np.abs(v @ q.T)
    small: Booleans = size <= tolerance * size.max(1, keepdims=True)
    return small


def _fit(q: Floats, zero: Booleans) -> Floats:
    """Return the v [c, r] whose Q v is smallest in all rows that are zero, not in r - 1 alone."""
    r = q.shape[1]
    squares = (q[:, :, None] * q[:, None, :]).reshape(len(q), r * r)
    fitted: Floats = np.linalg.eigh((zero @ squares).reshape(-1, r, r))[1][:, :, 0]
    return fitted


def _likeness(column: Floats, zero: Booleans, expected: Floats) -> Floats:
    """Return the cosine [c] of each column to the expected signal, where it is not zero."""
    column, signal = np.where(zero, 0.0, column), np.where(zero, 0.0, expected)
    size = np.linalg.norm(column, axis=1) * np.linalg.norm(signal, axis=1)
    cosine: Floats = np.abs((column * signal).sum(1)) / np.maximum(size, 1e-300)
    return cosine


def _sparsest(zero: Booleans, among: Booleans) -> NDArray[np.int64]:
    """Return the numbers of the KEPT sparsest columns, one of each pattern of zeros."""
    (numbers,) = np.nonzero(among)
    patterns = np.packbits(zero[numbers], axis=1)
    first = numbers[np.unique(patterns, axis=0, return_index=True)[1]]
    return first[np.argsort(-zero[first].sum(1), kind="stable")][:KEPT]
