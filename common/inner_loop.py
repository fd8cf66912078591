"""The reference network's inner loop in the dual form; common/closed_form.py has the equations."""

from typing import NamedTuple

import numpy as np

from common.jit import jit
from common.kernels import (
    Floats,
    Labels,
    Network,
    Scalar,
    add_head_gradient,
    add_product,
    first_layer_gradient,
    relu,
    scores,
    softmax_residual,
)


class Trace(NamedTuple):
    """What the inner loop leaves behind: moved is A, before each step and after the last."""

    hidden: Floats  # [K, S, H]
    p: Floats  # [K, S, C]
    r: Floats  # [K, S, C]
    w2: Floats  # [K + 1, C, H]
    b2: Floats  # [K + 1, C]
    moved: Floats  # [K + 1, S, H]


@jit
def make_trace(net: Network, s: int, steps: int, hidden: int, classes: int) -> Trace:
    """Return memory for K steps on s rows; phi_0 is theta."""
    dtype = net.b1.dtype
    trace = Trace(
        np.empty((steps, s, hidden), dtype),
        np.empty((steps, s, classes), dtype),
        np.empty((steps, s, classes), dtype),
        np.empty((steps + 1, classes, hidden), dtype),
        np.empty((steps + 1, classes), dtype),
        np.empty((steps + 1, s, hidden), dtype),
    )
    trace.w2[0], trace.b2[0], trace.moved[0] = net.w2, net.b2, dtype.type(0)
    return trace


@jit
def inner_loop(
    trace: Trace,
    z: Floats,
    start: Floats,
    g: Floats,
    labels: tuple[Labels, Floats],
    lr: Scalar,
    hidden: int,
    classes: int,
) -> None:
    """Fill the trace by K steps from start = Z_0 [S, H]; g is -lr (X X^T + 1), z scratch."""
    y, w = labels
    for j in range(trace.hidden.shape[0]):
        rows, r, w2 = trace.hidden[j], trace.r[j], trace.w2[j]
        if j == 0:
            relu(rows, start, hidden)
        else:
            z[:] = start
            add_product(z, g, trace.moved[j], hidden)
            relu(rows, z, hidden)
        scores(r, rows, w2, hidden, classes)
        softmax_residual(trace.p[j], r, trace.b2[j], y, w, classes)
        first_layer_gradient(trace.moved[j + 1], trace.moved[j], r, w2, rows, hidden, classes)
        trace.w2[j + 1], trace.b2[j + 1] = w2, trace.b2[j]
        add_head_gradient(trace.w2[j + 1], trace.b2[j + 1], r, rows, -lr, hidden, classes)
