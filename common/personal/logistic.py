"""L2 logistic regression on many small supports: the local baseline.

The objective is scikit-learn's, C * sum_i log-loss_i + ||w||^2 / 2 with a free intercept, and so
are the results (the tests compare them). C is chosen for each support by stratified five-fold
cross-validation inside it. That takes 31 fits a support, so they are compiled, by Newton's method,
and each starts where a similar one ended: a C at the C before it, a fold at the whole support.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.jit import jit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""The grid of C."""
WITHOUT_FOLDS = STRENGTHS.index(0.1)
"""The C of supports with fewer than two patients of a class: they cannot be divided."""
FOLDS, ITERATIONS, TOLERANCE = 5, 100, 1e-6
LONGEST = 2.0
"""The most that a step changes a coefficient, so that few steps overshoot."""
SHRINK = 0.25
"""A step longer than this part of the one before asks for a new Hessian."""
ROUNDING = 1e-12
"""The relative growth of the objective that is no growth."""
_FREE = 1e-8  # the intercept's penalty: none, but for a solvable system


def fit(x: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> Tensor:
    """Return coefficients [B, inputs + 1], the intercept last, of B regressions.

    x [B, k, inputs] float64; y, weight [B, k]; strength [B] is C. Rows of weight 0 have no part.
    """
    design = _design(x)
    w = np.zeros((len(design), design.shape[2]))
    for i, (own, label, part, c) in enumerate(zip(design, y, weight, strength, strict=True)):
        newton(own, label.double().numpy(), part.double().numpy(), float(c), w[i])
    return torch.from_numpy(w)


def local_logistic(x: Tensor, y: Tensor, test_x: Tensor) -> Floats:
    """Return probabilities [D, n] for test_x [n, inputs] from supports x [D, k, inputs], y [D, k].

    A support of one class teaches no regression: everyone gets (positives + 1) / (k + 2).
    """
    x, test = _rotated(x.double(), test_x.double())
    chosen, w = _search(x, y)
    best = torch.from_numpy(w)[torch.arange(len(w)), chosen]
    p = ((test @ best[:, :-1, None])[..., 0] + best[:, -1:]).sigmoid()
    positives, k = y.sum(1, keepdim=True).double(), y.shape[1]
    single = (positives == 0) | (positives == k)
    return torch.where(single, (positives + 1) / (k + 2), p).numpy()


def choose_strengths(x: Tensor, y: Tensor) -> Tensor:
    """Return each support's C [D] of least cross-validated log-loss; ties take the smaller.

    Supports with fewer than two patients of a class cannot be divided: they take C = 0.1.
    """
    return torch.tensor(STRENGTHS, dtype=torch.float64)[_search(x, y)[0]]


def folds(y: Tensor) -> Tensor:
    """Return the fold [D, k] of each patient: the classes are dealt out in turn, one by one."""
    positive = y > 0
    turn = torch.where(positive, positive.cumsum(1), (~positive).cumsum(1)) - 1
    return turn % FOLDS


def _rotated(x: Tensor, test_x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x [D, k, r] and test_x [D, n, r] in coordinates in which the regression is small.

    w lies in the span of the support, so its rotation to k coordinates loses nothing.
    """
    draws, k, inputs = x.shape
    if k >= inputs:
        return x, test_x.expand(draws, *test_x.shape)
    basis = torch.linalg.qr(x.mT).Q  # [D, inputs, k]
    return x @ basis, test_x @ basis


def _design(x: Tensor) -> Floats:
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1).contiguous().numpy()


def _search(x: Tensor, y: Tensor) -> tuple[Tensor, Floats]:
    """Return the place in STRENGTHS of each support's C [D], and w [D, C, inputs + 1] for all C."""
    design = _design(x.double())
    w = np.zeros((len(design), len(STRENGTHS), design.shape[2]))
    losses = np.zeros(w.shape[:2])
    label, fold = y.double().contiguous().numpy(), folds(y).contiguous().numpy()
    cross_validate(design, label, fold, np.array(STRENGTHS), w, losses)
    rare = torch.minimum(y.sum(1), (1 - y).sum(1)) < 2
    return torch.where(rare, WITHOUT_FOLDS, torch.from_numpy(losses.argmin(1))), w


@jit
def cross_validate(
    design: Floats, y: Floats, fold: Integers, strengths: Floats, w: Floats, losses: Floats
) -> None:
    """Set w [D, C, r] to the whole supports' fits, add each C's held-out log-loss to losses [D, C].

    design [D, k, r], y and fold [D, k]. w starts at zero and stays there for supports of one class.
    """
    draws, k, _ = design.shape
    everyone = np.ones(k)
    for d in range(draws):
        x, label = design[d], y[d]
        rarer = min(label.sum(), k - label.sum())
        for c in range(len(strengths)):
            if rarer > 0:
                w[d, c] = w[d, max(c - 1, 0)]
                newton(x, label, everyone, strengths[c], w[d, c])
            for f in range(FOLDS if rarer > 1 else 0):
                rest, own = fold[d] != f, w[d, c].copy()
                newton(x[rest], label[rest], everyone, strengths[c], own)
                for i in np.flatnonzero(~rest):
                    losses[d, c] += row_loss(inner(x[i], own, len(own)), label[i])


@jit
def newton(x: Floats, y: Floats, weight: Floats, strength: float, w: Floats) -> None:
    """Move w [r] to the minimum for x [k, r], y [k] and weight [k].

    The Hessian, which costs most, is kept as long as steps with it shrink fast. A step after which
    the objective is larger is halved: without, some fits swing to and fro for ever.
    """
    step, move, curvature = np.empty(len(w)), np.empty(len(w)), np.empty(len(y))
    factor = np.empty((len(w), len(w)))
    stale, before, least = True, np.inf, np.inf
    for _ in range(ITERATIONS):
        value = objective(x, y, weight, strength, w, step, curvature)
        if value > least * (1 + ROUNDING):
            move *= 0.5
            w += move
            stale = True
            continue
        if stale:
            hessian(x, curvature, strength, factor)
            cholesky(factor)
        substitute(factor, step)
        longest = np.abs(step).max()
        move[:] = step * (LONGEST / max(longest, LONGEST))
        w -= move
        if longest < TOLERANCE:
            break
        stale, before, least = longest > SHRINK * before, longest, value


@jit
def objective(
    x: Floats,
    y: Floats,
    weight: Floats,
    strength: float,
    w: Floats,
    gradient: Floats,
    curvature: Floats,
) -> float:
    """Return the objective at w; set its gradient [r] and each row's part in the Hessian [k]."""
    r = len(w)
    gradient[:] = w / strength
    gradient[r - 1] = _FREE * w[r - 1]
    total: float = inner(gradient, w, r) / 2
    for i in range(len(y)):
        score = inner(x[i], w, r)
        p = 1 / (1 + np.exp(-score))
        total += weight[i] * row_loss(score, y[i])
        curvature[i] = weight[i] * p * (1 - p)
        residual = weight[i] * (p - y[i])
        for a in range(r):
            gradient[a] += residual * x[i, a]
    return total


@jit
def row_loss(score: float, y: float) -> float:
    """Return the log-loss of a score, in logits, where the truth is y."""
    loss: float = max(score, 0.0) - y * score + np.log1p(np.exp(-abs(score)))
    return loss


@jit
def hessian(x: Floats, curvature: Floats, strength: float, out: Floats) -> None:
    """Set the lower triangle of out [r, r] to the Hessian: x^T diag(curvature) x + penalty."""
    k, r = x.shape
    for a in range(r):
        out[a, :a] = 0
        out[a, a] = 1 / strength if a < r - 1 else _FREE
    for i in range(0, k - 3, 4):  # four rows at a time: the sums are read and written less often
        for a in range(r):
            c0, c1 = curvature[i] * x[i, a], curvature[i + 1] * x[i + 1, a]
            c2, c3 = curvature[i + 2] * x[i + 2, a], curvature[i + 3] * x[i + 3, a]
            for b in range(a + 1):
                out[a, b] += c0 * x[i, b] + c1 * x[i + 1, b] + c2 * x[i + 2, b] + c3 * x[i + 3, b]
    for i in range(k - k % 4, k):
        for a in range(r):
            for b in range(a + 1):
                out[a, b] += curvature[i] * x[i, a] * x[i, b]


@jit
def cholesky(matrix: Floats) -> None:
    """Replace the lower triangle of a positive definite matrix [r, r] by its Cholesky factor."""
    for a in range(len(matrix)):
        for b in range(a):
            matrix[a, b] = (matrix[a, b] - inner(matrix[a], matrix[b], b)) / matrix[b, b]
        matrix[a, a] = np.sqrt(matrix[a, a] - inner(matrix[a], matrix[a], a))


@jit
def substitute(factor: Floats, right: Floats) -> None:
    """Turn `right` [r] into the solution of factor factor^T z = right."""
    for a in range(len(right)):
        right[a] = (right[a] - inner(factor[a], right, a)) / factor[a, a]
    for a in range(len(right) - 1, -1, -1):
        right[a] /= factor[a, a]
        for b in range(a):
            right[b] -= factor[a, b] * right[a]


@jit
def inner(a: Floats, b: Floats, r: int) -> float:
    """Return the inner product of the first r entries."""
    total = 0.0
    for i in range(r):
        total += a[i] * b[i]
    return total
