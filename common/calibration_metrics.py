"""Whether probabilities mean what they say: logistic recalibration, in many draws at once.

Calibration-in-the-large is the intercept a of logit P(y = 1) = a + logit(p); the slope is b of
logit P(y = 1) = a' + b logit(p). Ideal are a = 0 and b = 1; b below 1 means that p is too extreme.
References: Cox, Biometrika 45, 1958; Van Calster et al., BMC Medicine 17, 2019 (the terms); Sun,
Tran-Dinh, Mathematical Programming 178, 2019 (the damped step).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TINY = 1e-6
"""Probabilities are kept this far from 0 and 1 where their logarithms are taken."""
RIDGE = 1e-3
"""The slope's log-likelihood is less RIDGE b^2 / 2: a normal prior around 0 of SD 32.

It keeps the slope finite where p separates the classes, and near constant p from giving a slope in
the thousands; a slope that 500 patients determine moves by less than a thousandth.
"""
_CONSTANT = 1e-9  # a range of logits below this is rounding
_TOLERANCE, _MOST_STEPS = 1e-2, 100  # a last full step of 1e-2 leaves an error near 1e-5


class Recalibration(NamedTuple):
    """A coefficient per draw [draws], NaN where there is none, and what each patient adds to it.

    influence [draws, n]: first-order change by one patient's score; its squares sum to the
    sandwich variance (White, Econometrica 50, 1982).
    """

    value: Floats
    influence: Floats


class Calibration(NamedTuple):
    """Per draw [draws]: intercept, with the slope held at 1, and slope, NaN where p is constant."""

    intercept: Floats
    slope: Floats


def calibration(y: Integers, probabilities: Floats) -> Calibration:
    """Return intercept and slope per draw of probabilities [draws, n]; y [n] holds both classes."""
    intercept, slope = recalibrations(y, probabilities)
    return Calibration(intercept.value, slope.value)


def recalibrations(y: Integers, probabilities: Floats) -> tuple[Recalibration, Recalibration]:
    """Return calibration-in-the-large and the calibration slope, with patients' influence."""
    p = np.clip(probabilities, TINY, 1 - TINY)
    logits = np.log(p / (1 - p))
    return _intercept(y, p, logits), _slope(y, logits)


def _intercept(y: Integers, p: Floats, logits: Floats) -> Recalibration:
    positives, expected = y.sum(), p.sum(1)
    a = np.log(positives / expected * (len(y) - expected) / (len(y) - positives))
    for _ in range(_MOST_STEPS):
        residual, weight = _residuals(y, a[:, None] + logits)
        information = weight.sum(1)
        step = residual.sum(1) / information
        a += step * _damping(abs(step))
        if abs(step).max() < _TOLERANCE:
            break
    return Recalibration(a, residual / information[:, None])


def _slope(y: Integers, x: Floats) -> Recalibration:
    """Return b of logit P(y = 1) = a + b x by damped Newton; NaN where x [draws, n] is constant."""
    low, high = x.min(1), x.max(1)
    a, b = _discriminant(y, x)
    for _ in range(_MOST_STEPS):
        eta = b[:, None] * x
        eta += a[:, None]
        residual, weight = _residuals(y, eta)
        weighted = weight * x
        aa, ab = weight.sum(1), weighted.sum(1)  # the information matrix
        bb = np.einsum("dn,dn->d", weighted, x) + RIDGE
        for_a, for_b = residual.sum(1), np.einsum("dn,dn->d", residual, x) - RIDGE * b
        determinant = aa * bb - ab**2
        step_a = (bb * for_a - ab * for_b) / determinant
        step_b = (aa * for_b - ab * for_a) / determinant
        moved = np.maximum(abs(step_a + step_b * low), abs(step_a + step_b * high))
        damping = _damping(moved)
        a, b = a + damping * step_a, b + damping * step_b
        if moved.max() < _TOLERANCE:
            break
    influence = residual * (aa[:, None] * x - ab[:, None]) / determinant[:, None]
    return Recalibration(np.where(high - low > _CONSTANT, b, np.nan), influence)


def _discriminant(y: Integers, x: Floats) -> tuple[Floats, Floats]:
    """Return a and b of the linear discriminant: where to start, close to the end if x is normal.

    b is kept within 10, so that no weight vanishes at the start.
    """
    n, positives = len(y), float(y.sum())
    share = positives / n
    mean = x.sum(1) / n
    of_positive: Floats = x @ y / positives
    gap: Floats = (of_positive - mean) / (1 - share)
    within = np.einsum("dn,dn->d", x, x) / n - mean**2 - share * (1 - share) * gap**2
    b: Floats = gap / np.maximum(within, abs(gap) / 10 + np.finfo(float).tiny)
    a: Floats = math.log(share / (1 - share)) - b * (of_positive - gap / 2)
    return a, b


def _residuals(y: Integers, eta: Floats) -> tuple[Floats, Floats]:
    """Return y minus the expectation, and the weight p (1 - p), at the linear predictor eta."""
    expected: Floats = np.exp(-eta)  # in place from here on: half the time
    expected += 1
    np.reciprocal(expected, out=expected)
    weight = 1 - expected
    weight *= expected
    return y - expected, weight


def _damping(moved: Floats) -> Floats:
    """Return the share of a Newton step to take; `moved`: the most that it moves any patient.

    The step's gain is at least (t - (exp(d t) - 1 - d t) / d^2) times its squared Newton decrement,
    with share t and d moved, on the scale of the linear predictor (Sun, Tran-Dinh 2019, nu = 2).
    That is most at t = log(1 + d) / d, and positive at t = 1 up to d = 1.79: so every step lowers
    the loss, from any start, and the last ones are full.
    """
    return np.where(moved < 1, 1.0, np.log1p(moved) / np.maximum(moved, 1))
