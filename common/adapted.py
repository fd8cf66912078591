"""The reference network adapted to many supports at once, and its predictions: closed form.

Plain inner steps, one rate for all parameters, as `common.closed_form` does them: an adapted first
layer is never formed. With X' the rows to predict, X a support and A_j what j steps moved,

    Z'_j = Z'_0 - a (X' X^T + 1) A_j

Z'_0 is shared by all supports; the Gram matrices of a support serve all rates and steps.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from common.inner_loop import inner_loop, make_trace
from common.jit import constant, jit, specialise
from common.kernels import (
    Floats,
    Labels,
    Network,
    add_product,
    first_layer,
    gram,
    relu,
    scores,
    shares,
)
from common.parameters import Params
from common.reference import network


def is_reference(theta: Params) -> bool:
    """Whether the parameters have the names and shapes of `common.models.perceptron`."""
    if list(theta) != ["0.weight", "0.bias", "2.weight", "2.bias"]:
        return False
    w1, b1, w2, b2 = (tuple(p.shape) for p in theta.values())
    return len(w1) == len(w2) == 2 and b1 == w1[:1] == w2[1:] and b2 == w2[:1]


def adapted_probabilities(
    theta: Params,
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    *,
    lr: float,
    scales: Sequence[float],
    steps: Sequence[int],
) -> Tensor:
    """Return P(y = c) of `rows` [n, inputs] as [G, T, D, n, C] after plain inner steps from theta.

    D supports x [D, k, inputs], y [D, k] with k >= 1; G scales of the rate `lr`; T numbers of
    steps, 0 allowed, in any order. Floating arrays are of theta's type.
    """
    net = network(theta)
    dtype, (classes, hidden) = net.b1.dtype, net.w2.shape
    rates = np.asarray(scales, dtype) * dtype.type(lr)
    wanted, places = np.unique(np.asarray(steps, np.int64), return_inverse=True)
    arrays = [np.ascontiguousarray(part.numpy()) for part in (x, y, rows)]
    out = np.empty((len(rates), len(wanted), len(x), len(rows), classes), dtype)
    _compiled(dtype, hidden, classes)(net, *arrays, rates, wanted, out, hidden, classes)
    return torch.from_numpy(out[:, places]).softmax(-1)


def prepare(theta: Params) -> None:
    """Compile for these parameters now: before processes are forked that would each do it."""
    net = network(theta)
    _compiled(net.b1.dtype, net.w2.shape[1], net.w2.shape[0])


@lru_cache
def _compiled(dtype: np.dtype[np.floating], hidden: int, classes: int) -> Callable[..., None]:
    """Return `adapted_logits` for these constants and arrays of this type."""

    def zeros(*shape: int) -> Floats:
        return np.zeros(shape, dtype)

    net = Network(zeros(1, hidden), zeros(hidden), zeros(classes, hidden), zeros(classes))
    given = (zeros(1, 1, 1), np.zeros((1, 1), np.int64), zeros(1, 1), zeros(1))
    rest = (np.zeros(1, np.int64), zeros(1, 1, 1, 1, 1))
    return specialise(adapted_logits, net, *given, *rest, hidden=hidden, classes=classes)


@jit
def adapted_logits(
    net: Network,
    x: Floats,
    y: Labels,
    rows: Floats,
    rates: Floats,
    wanted: Labels,
    out: Floats,
    hidden: int,
    classes: int,
) -> None:
    """Set out [G, T, D, n, C] to the logits of `rows` [n, inputs]; `wanted` [T] ascends.

    x [D, k, inputs], y [D, k]; rates [G].
    """
    constant(hidden)
    constant(classes)
    k, n, dtype = x.shape[1], len(rows), net.w1.dtype
    trace = make_trace(net, k, wanted[-1], hidden, classes)
    start, z = np.empty((k, hidden), dtype), np.empty((k, hidden), dtype)
    rows_0, rows_j = np.empty((n, hidden), dtype), np.empty((n, hidden), dtype)
    own, cross = np.empty((k, k), dtype), np.empty((n, k), dtype)
    weight = np.ones(k, dtype)
    shares(weight, weight)
    first_layer(rows_0, rows, net, hidden)
    for d in range(len(x)):
        first_layer(start, x[d], net, hidden)
        gram(own, x[d], x[d], -dtype.type(1))
        gram(cross, rows, x[d], -dtype.type(1))
        for i in range(len(rates)):
            inner_loop(trace, z, start, rates[i] * own, (y[d], weight), rates[i], hidden, classes)
            moving = rates[i] * cross
            for t in range(len(wanted)):
                rows_j[:] = rows_0
                add_product(rows_j, moving, trace.moved[wanted[t]], hidden)
                relu(rows_j, rows_j, hidden)
                scores(out[i, t, d], rows_j, trace.w2[wanted[t]], hidden, classes)
                out[i, t, d] += trace.b2[wanted[t]]
