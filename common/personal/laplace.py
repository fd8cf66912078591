"""Logistic regression under a Gaussian prior, for many supports at once, in dual form.

The logit of a patient is an offset plus f(x), f a Gaussian process whose covariance is a Gram
matrix: of inputs, of hidden units, of gradients by all parameters. Posterior: Laplace's
approximation, Rasmussen, Williams, "Gaussian Processes for Machine Learning", MIT Press 2006,
algorithms 3.1 and 3.2. Its probability is that of the mean over the posterior, by MacKay's formula
("The evidence framework applied to classification networks", Neural Computation 4, 1992, eq. 22):
where a patient is unlike the support, it is drawn towards one half.

Leaving one patient out costs no new fit: the approximation's own formula, exact to first order
(Vehtari, Mononen, Tolvanen, Sivula, Winther, JMLR 17:103, 2016, section 3.4).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

ITERATIONS, TOLERANCE = 30, 1e-5
LONGEST = 4.0
"""The most that an iteration changes a logit, so that none overshoots."""
_TINY = 1e-10


class Gram(NamedTuple):
    """Prior covariances of the support and of n other patients."""

    own: Tensor  # of the support with itself [D, k, k]
    cross: Tensor  # of the others with the support [D, n, k]
    variance: Tensor  # of the others [D, n]

    def scaled(self, factor: Tensor) -> "Gram":
        """Return the covariances times `factor` [D]."""
        return Gram(
            self.own * factor[:, None, None],
            self.cross * factor[:, None, None],
            self.variance * factor[:, None],
        )

    def with_intercept(self, variance: float) -> "Gram":
        """Return the covariances of f + b, b an intercept of this variance."""
        return Gram(self.own + variance, self.cross + variance, self.variance + variance)


class Posterior(NamedTuple):
    """Logits [D, n] of the other patients; of each support patient, left out, [D, k].

    remaining [D, n]: the share of the prior variance that the support leaves: 1 is unlike all of
    the support.
    """

    logits: Tensor
    left_out: Tensor
    remaining: Tensor


class Fitted(NamedTuple):
    """What a support says about any patient, in little.

    With c [k] a patient's prior covariances with the support and v its prior variance, the mean of
    its logit is offset + c . slope, the variance v - |whitening c|^2. slope [D, k], whitening
    [D, k, k].
    """

    slope: Tensor
    whitening: Tensor


def fitted(own: Tensor, offset: Tensor, y: Tensor) -> Fitted:
    """Return what `posterior` makes of the support alone: own [D, k, k], offset and y [D, k]."""
    slope, f = _mode(own, offset, y.to(offset.dtype))
    p = f.sigmoid()
    root, factor = _factor(own, (p * (1 - p)).clamp_min(_TINY))
    whitening = torch.linalg.solve_triangular(factor, root.diag_embed(), upper=False)
    return Fitted(slope, whitening)


def posterior(gram: Gram, offset: Tensor, other_offset: Tensor, y: Tensor) -> Posterior:
    """Return the posterior from labels y [D, k] of 0 and 1, offset [D, k], other_offset [D, n].

    Raises:
        torch.linalg.LinAlgError: a covariance is NaN or infinite.
    """
    y = y.to(offset.dtype)
    slope, f = _mode(gram.own, offset, y)
    p = f.sigmoid()
    weight = (p * (1 - p)).clamp_min(_TINY)
    root, factor = _factor(gram.own, weight)
    mean = other_offset + _times(gram.cross, slope)
    seen = torch.linalg.solve_triangular(factor, root[:, :, None] * gram.cross.mT, upper=False)
    variance = (gram.variance - seen.square().sum(1)).clamp_min(0)
    own = torch.linalg.solve_triangular(factor, root[:, :, None] * gram.own, upper=False)
    own_variance = gram.own.diagonal(dim1=1, dim2=2) - own.square().sum(1)
    rest = (1 - own_variance * weight).clamp_min(1e-6)
    left_out = f - own_variance * (y - p) / rest
    return Posterior(
        moderated(mean, variance),
        moderated(left_out, (own_variance / rest).clamp_min(0)),
        variance / gram.variance.clamp_min(_TINY),
    )


def moderated(mean: Tensor, variance: Tensor) -> Tensor:
    """Return the logit of the mean probability of a normal logit (MacKay 1992, eq. 22)."""
    return mean / (1 + math.pi / 8 * variance).sqrt()


def _mode(own: Tensor, offset: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and f = offset + own a [D, k] at the posterior's mode (algorithm 3.1)."""
    slope, f = torch.zeros_like(offset), offset
    for _ in range(ITERATIONS):
        p = f.sigmoid()
        weight = (p * (1 - p)).clamp_min(_TINY)
        root, factor = _factor(own, weight)
        b = weight * (f - offset) + y - p
        inner = torch.cholesky_solve((root * _times(own, b))[..., None], factor)[..., 0]
        new = b - root * inner
        move = offset + _times(own, new) - f
        longest = move.abs().amax(1, keepdim=True)
        part = (LONGEST / longest.clamp_min(_TINY)).clamp_max(1.0)
        slope, f = slope + part * (new - slope), f + part * move
        if float(longest.max()) < TOLERANCE * (1 + float(f.abs().max())):
            break
    return slope, f


def _factor(own: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return W^1/2 [D, k] and the Cholesky factor of I + W^1/2 K W^1/2 [D, k, k]."""
    root = weight.sqrt()
    matrix = root[:, :, None] * own * root[:, None, :]
    return root, torch.linalg.cholesky(matrix + torch.eye(own.shape[1], dtype=own.dtype))


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]
