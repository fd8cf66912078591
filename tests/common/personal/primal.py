"""Bayesian logistic regression in the primal: the slow reference of common/personal/laplace.py."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common.personal.laplace import Gram, Posterior, posterior
from common.randomness import generator

Floats = NDArray[np.float64]


class Problem(NamedTuple):
    """Features of a support [D, k, d] and of others [n, d], so scaled that their prior is N(0, I).

    The last feature is an intercept. Prior offsets of both, and labels.
    """

    phi: Floats
    other: Floats
    offset: Floats
    other_offset: Floats
    y: Floats

    @property
    def gram(self) -> Gram:
        variance = np.broadcast_to((self.other**2).sum(1), (len(self.phi), len(self.other)))
        arrays = (self.phi @ self.phi.transpose(0, 2, 1), self.other @ self.phi.transpose(0, 2, 1))
        return Gram(*(torch.from_numpy(a.copy()) for a in (*arrays, variance)))

    def solve(self) -> Posterior:
        offset, other, y = (torch.from_numpy(a) for a in (self.offset, self.other_offset, self.y))
        return posterior(self.gram, offset, other.expand(len(self.phi), -1), y)


def make(
    *, k: int = 12, draws: int = 1, n: int = 7, variance: float = 0.5, spread: float = 1.0
) -> Problem:
    rng = generator("laplace", k, draws)
    x, other = rng.normal(size=(draws, k, 3)), rng.normal(size=(n, 3))
    y = (x[..., 0] - x[..., 1] + rng.normal(size=(draws, k)) > 0).astype(float)

    def features(x: Floats) -> Floats:
        intercept = np.full((*x.shape[:-1], 1), 2.0)  # an intercept of prior variance 4
        return np.concatenate([x * math.sqrt(variance), intercept], -1)

    offset, other_offset = rng.normal(size=(draws, k)) * spread, rng.normal(size=n) * spread
    return Problem(features(x), features(other), offset, other_offset, y)


def sigmoid(z: Floats | np.float64) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))


def ridge(phi: Floats, offset: Floats, y: Floats) -> Floats:
    """The coefficients' posterior mode by Newton's method in the primal, steps halved."""
    w = np.zeros(phi.shape[1])

    def loss(w: Floats) -> float:
        z = offset + phi @ w
        return float((np.logaddexp(0, z) - y * z).sum() + w @ w / 2)

    for _ in range(200):
        p = sigmoid(offset + phi @ w)
        slope = phi.T @ (p - y) + w
        step = np.linalg.solve(hessian(phi, p), slope)
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-14:
            step /= 2
        w = w - step
    return w


def hessian(phi: Floats, p: Floats) -> Floats:
    return np.asarray((phi * (p * (1 - p))[:, None]).T @ phi + np.eye(phi.shape[1]))


def variances(phi: Floats, p: Floats, rows: Floats) -> Floats:
    """Posterior variance x^T H^-1 x of each row."""
    return np.asarray((rows @ np.linalg.inv(hessian(phi, p)) * rows).sum(1))


def moderate(mean: Floats, variance: Floats) -> Floats:
    return np.asarray(mean / np.sqrt(1 + np.pi / 8 * variance))


def mode(problem: Problem, found: Posterior) -> Floats:
    """The others' posterior means [D, n], before they are drawn towards one half."""
    variance = found.remaining * problem.gram.variance
    return np.asarray((found.logits * (1 + math.pi / 8 * variance).sqrt()).numpy())
