"""L2 logistic regression on many small supports at once: the local baseline.

The objective is scikit-learn's, C * sum_i log-loss_i + ||w||^2 / 2 with a free intercept, and so
are the results (the tests compare them); only thousands of fits are solved together, by Newton's
method. C is chosen for each support by stratified five-fold cross-validation inside it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""The grid of C."""
FOLDS, ITERATIONS, TOLERANCE = 5, 50, 1e-6
_FREE = 1e-8  # the intercept's penalty: none, but for a solvable system


def fit(x: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> Tensor:
    """Return coefficients [B, inputs + 1], the intercept last, of B regressions.

    x [B, k, inputs] float64; y, weight [B, k]; strength [B] is C. Rows of weight 0 have no part.
    """
    design = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
    penalty = (1 / strength)[:, None].expand(-1, design.shape[-1]).clone()
    penalty[:, -1] = _FREE
    w = torch.zeros_like(penalty)
    for _ in range(ITERATIONS):
        p = (design @ w[..., None])[..., 0].sigmoid()
        gradient = ((weight * (p - y))[:, None] @ design)[:, 0] + penalty * w
        curvature = (weight * p * (1 - p))[..., None] * design
        hessian = design.mT @ curvature + torch.diag_embed(penalty)
        step = torch.cholesky_solve(gradient[..., None], torch.linalg.cholesky(hessian))[..., 0]
        longest = step.abs().amax(1, keepdim=True)
        w = w - step * (2 / longest.clamp(min=2))  # at most 2, so that Newton does not overshoot
        if longest.max() < TOLERANCE:
            break
    return w


def local_logistic(x: Tensor, y: Tensor, test_x: Tensor) -> NDArray[np.float64]:
    """Return probabilities [D, n] for test_x [n, inputs] from supports x [D, k, inputs], y [D, k].

    A support of one class teaches no regression: everyone gets (positives + 1) / (k + 2).
    """
    labels = y.double()
    # w lies in the span of the support, so its rotation to k coordinates loses nothing.
    basis = torch.linalg.svd(x.double(), full_matrices=False).Vh
    x, test = x.double() @ basis.mT, test_x.double() @ basis.mT  # [D, k, r], [D, n, r]
    strengths = choose_strengths(x, labels)
    w = fit(x, labels, torch.ones_like(labels), strengths)
    p = ((test @ w[:, :-1, None])[..., 0] + w[:, -1:]).sigmoid()
    positives, k = labels.sum(1, keepdim=True), y.shape[1]
    single = (positives == 0) | (positives == k)
    return torch.where(single, (positives + 1) / (k + 2), p).numpy()


def choose_strengths(x: Tensor, y: Tensor) -> Tensor:
    """Return each support's C [D] of least cross-validated log-loss; ties take the smaller.

    Supports with fewer than two patients of a class cannot be divided: they take C = 0.1.
    """
    draws, k = y.shape
    held = torch.nn.functional.one_hot(folds(y), FOLDS).double().mT  # [D, folds, k]
    grid = torch.tensor(STRENGTHS, dtype=x.dtype)
    shape = (draws, FOLDS, len(grid))
    weight = (1 - held)[:, :, None].expand(*shape, k)
    many_x = x[:, None, None].expand(*shape, *x.shape[1:])
    many_y = y[:, None, None].expand(*shape, k)
    w = fit(
        many_x.reshape(-1, *x.shape[1:]),
        many_y.reshape(-1, k),
        weight.reshape(-1, k),
        grid.expand(shape).reshape(-1),
    ).view(*shape, -1)
    margin = (many_x @ w[..., :-1, None])[..., 0] + w[..., -1:]
    losses = -logsigmoid((2 * many_y - 1) * margin) * held[:, :, None]
    best = losses.sum((1, 3)).argmin(1)
    rare = torch.minimum(y.sum(1), (1 - y).sum(1)) < 2
    return torch.where(rare, torch.tensor(0.1, dtype=x.dtype), grid[best])


def folds(y: Tensor) -> Tensor:
    """Return the fold [D, k] of each patient: the classes are dealt out in turn, one by one."""
    positive = y > 0
    turn = torch.where(positive, positive.cumsum(1), (~positive).cumsum(1)) - 1
    return turn % FOLDS
