"""The reference network's meta-gradient in closed form: no graph, no copy of the first layer.

For x - W1, b1 - ReLU - W2, b2 - softmax, K full-batch inner steps of rate a on a support X change
the first layer only within the span of X: with D_j the gradient of the support loss with respect to
the first layer's output Z in step j,

    W1_k = W1 - a X^T A_k,  b1_k = b1 - a 1^T A_k,  A_k = sum_{j<k} D_j
    Z_k  = Z_0 - a (X X^T + 1) A_k             and for other rows X': Z'_0 - a (X' X^T + 1) A_k

so an adapted W1 is never formed: one product with the shared W1 for all rows, small Gram matrices,
and one product X^T Zbar at the end. The meta-gradient of MAML (Finn et al. 2017, arXiv 1703.03400,
Algorithm 2, line 10) is the reverse of this recursion, derived by hand (docs/decisions/0007).
`tests/common/test_closed_form.py` proves it equal to the generic path.

Letters: S support rows, Q query rows, H hidden units, C classes, K steps; X [S, inputs], Z, A and
hidden [S, H], P = softmax(O) and R = w (P - Y) [S, C], w a row's share of the weight. `bar` marks
the derivative of the query loss. H and C are compile-time constants: loops over them unroll.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.episodes import Episode
from common.jit import constant, jit, specialise
from common.kernels import (
    Floats,
    Labels,
    Network,
    add_head_gradient,
    add_product,
    add_rows,
    first_layer,
    first_layer_gradient,
    gram,
    relu,
    scores,
    shares,
    softmax_residual,
)
from common.parameters import Params, count

Side = tuple[Floats, Labels, Floats]
"""x [B, E, n, inputs], y [B, E, n], weight [B, E, n]."""


def maml_updates(
    meta: Params, episodes: Episode, *, lr: float, steps: int, second_order: bool
) -> Tensor:
    """Return each site's mean meta-gradient [B, d] of the reference network's parameters `meta`.

    episodes: [B, E, ...], x [..., inputs], y int64. Without `second_order`: first-order MAML's.
    """
    net = network(meta)
    sides = [tuple(np.ascontiguousarray(part.numpy()) for part in side) for side in episodes]
    out = np.empty((len(sides[0][0]), count(meta)), dtype=net.b1.dtype)
    classes, hidden = net.w2.shape
    run = _compiled(net.b1.dtype, hidden, classes)
    run(net, *sides, net.b1.dtype.type(lr), steps, second_order, out, hidden, classes)
    return torch.from_numpy(out)


def network(meta: Params) -> Network:
    """Return the parameters of `common.models.perceptron` in the kernels' layout."""
    w1, b1, w2, b2 = (p.detach().numpy() for p in meta.values())
    return Network(np.ascontiguousarray(w1.T), b1, w2, b2)


@lru_cache
def _compiled(dtype: np.dtype[np.floating], hidden: int, classes: int) -> Callable[..., None]:
    """Return `meta_gradients` for these constants and arrays of this type."""

    def zeros(*shape: int) -> Floats:
        return np.zeros(shape, dtype)

    net = Network(zeros(1, hidden), zeros(hidden), zeros(classes, hidden), zeros(classes))
    side = (zeros(1, 1, 1, 1), np.zeros((1, 1, 1), np.int64), zeros(1, 1, 1))
    rest = (dtype.type(0), 1, True, zeros(1, 1))
    return specialise(meta_gradients, net, side, side, *rest, hidden=hidden, classes=classes)


class Trace(NamedTuple):
    """What the inner loop leaves behind: moved is A, before each step and after the last."""

    hidden: Floats  # [K, S, H]
    p: Floats  # [K, S, C]
    r: Floats  # [K, S, C]
    w2: Floats  # [K + 1, C, H]
    b2: Floats  # [K + 1, C]
    moved: Floats  # [K + 1, S, H]


class Adjoint(NamedTuple):
    """Derivatives of the query loss: of A, Z, O and D of a step [S, H] or [S, C]; of w2 and b2."""

    moved: Floats
    z: Floats
    o: Floats
    d: Floats
    w2: Floats
    b2: Floats


@jit
def inner_loop(
    trace: Trace,
    z: Floats,
    start: Floats,
    g: Floats,
    labels: tuple[Labels, Floats],
    lr: Floats,
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


@jit
def adjoint_step(
    trace: Trace,
    j: int,
    bar: Adjoint,
    g: Floats,
    w: Floats,
    lr: Floats,
    hidden: int,
    classes: int,
) -> None:
    """Take the adjoints from after step j to before it: the reverse of one turn of `inner_loop`.

    A_{j+1} = A_j + D with D = (R w2) on; w2_{j+1} = w2 - lr R^T rows; R = w (P - Y); O = rows w2^T.
    """
    constant(hidden)
    constant(classes)
    rows, p, r, w2 = trace.hidden[j], trace.p[j], trace.r[j], trace.w2[j]
    zero = lr - lr
    for i in range(rows.shape[0]):
        for h in range(hidden):
            bar.d[i, h] = bar.moved[i, h] if rows[i, h] > zero else zero
        mean = zero
        for c in range(classes):  # r receives: d w2^T - lr (rows w2bar^T + b2bar)
            total = -lr * bar.b2[c]
            for h in range(hidden):
                total += bar.d[i, h] * w2[c, h] - lr * rows[i, h] * bar.w2[c, h]
            bar.o[i, c] = total
            mean += p[i, c] * total
        for c in range(classes):
            bar.o[i, c] = w[i] * p[i, c] * (bar.o[i, c] - mean)
        for h in range(hidden):
            total = zero
            for c in range(classes):
                total += bar.o[i, c] * w2[c, h] - lr * r[i, c] * bar.w2[c, h]
            bar.z[i, h] = total if rows[i, h] > zero else zero
    add_product(bar.w2, r.T, bar.d, hidden)
    add_head_gradient(bar.w2, bar.b2, bar.o, rows, lr / lr, hidden, classes)
    if j > 0:
        add_product(bar.moved, g, bar.z, hidden)


@jit
def meta_gradients(
    net: Network,
    support: Side,
    query: Side,
    lr: Floats,
    steps: int,
    second_order: bool,
    out: Floats,
    hidden: int,
    classes: int,
) -> None:
    """Set out [B, d] to each site's mean meta-gradient, in the order W1 [H, inputs], b1, W2, b2.

    support, query: x [B, E, n, inputs], y and weight [B, E, n]. lr is of the parameters' type.
    """
    constant(hidden)
    constant(classes)
    (sx, sy, sw), (qx, qy, qw) = support, query
    sites, episodes, s, inputs = sx.shape
    q = qx.shape[2]
    dtype = net.w1.dtype
    zero = lr - lr
    trace = Trace(
        np.empty((steps, s, hidden), dtype),
        np.empty((steps, s, classes), dtype),
        np.empty((steps, s, classes), dtype),
        np.empty((steps + 1, classes, hidden), dtype),
        np.empty((steps + 1, classes), dtype),
        np.empty((steps + 1, s, hidden), dtype),
    )
    bar = Adjoint(
        np.empty((s, hidden), dtype),
        np.empty((s, hidden), dtype),
        np.empty((s, classes), dtype),
        np.empty((s, hidden), dtype),
        np.empty((classes, hidden), dtype),
        np.empty(classes, dtype),
    )
    zs, zq = np.empty((s, hidden), dtype), np.empty((q, hidden), dtype)
    zsbar = np.empty((episodes * s, hidden), dtype)
    zqbar = np.empty((episodes * q, hidden), dtype)
    z, hq = np.empty((s, hidden), dtype), np.empty((q, hidden), dtype)
    pq, rq = np.empty((q, classes), dtype), np.empty((q, classes), dtype)
    gs, gq = np.empty((s, s), dtype), np.empty((q, s), dtype)
    ws, wq = np.empty(s, dtype), np.empty(q, dtype)
    w1bar, b1bar = np.empty((inputs, hidden), dtype), np.empty(hidden, dtype)
    w2bar, b2bar = np.empty((classes, hidden), dtype), np.empty(classes, dtype)
    none = np.zeros((q, hidden), dtype)
    trace.w2[0], trace.b2[0], trace.moved[0] = net.w2, net.b2, zero  # phi_0 is theta
    for b in range(sites):
        x_s, x_q = sx[b].reshape(episodes * s, inputs), qx[b].reshape(episodes * q, inputs)
        w2bar[:], b2bar[:] = zero, zero
        for e in range(episodes):
            shares(ws, sw[b, e])
            shares(wq, qw[b, e])
            gram(gs, sx[b, e], sx[b, e], -lr)
            gram(gq, qx[b, e], sx[b, e], -lr)
            zbar_e, zqbar_e = zsbar[e * s : (e + 1) * s], zqbar[e * q : (e + 1) * q]
            first_layer(zs, sx[b, e], net, hidden)
            first_layer(zq, qx[b, e], net, hidden)
            inner_loop(trace, z, zs, gs, (sy[b, e], ws), lr, hidden, classes)
            # The query loss at phi, and its derivative with respect to phi.
            add_product(zq, gq, trace.moved[steps], hidden)
            relu(hq, zq, hidden)
            scores(rq, hq, trace.w2[steps], hidden, classes)
            softmax_residual(pq, rq, trace.b2[steps], qy[b, e], wq, classes)
            bar.w2[:], bar.b2[:], bar.moved[:] = zero, zero, zero
            add_head_gradient(bar.w2, bar.b2, rq, hq, lr / lr, hidden, classes)
            first_layer_gradient(zqbar_e, none, rq, trace.w2[steps], hq, hidden, classes)
            zbar_e[:] = zero
            if second_order:
                add_product(bar.moved, gq.T, zqbar_e, hidden)
                for j in range(steps - 1, -1, -1):
                    adjoint_step(trace, j, bar, gs, ws, lr, hidden, classes)
                    zbar_e += bar.z
            w2bar += bar.w2
            b2bar += bar.b2
        w1bar[:], b1bar[:] = zero, zero
        add_product(w1bar, x_s.T, zsbar, hidden)
        add_product(w1bar, x_q.T, zqbar, hidden)
        add_rows(b1bar, zsbar, hidden)
        add_rows(b1bar, zqbar, hidden)
        write(out[b], w1bar, b1bar, w2bar, b2bar, episodes)


@jit
def write(out: Floats, w1: Floats, b1: Floats, w2: Floats, b2: Floats, episodes: int) -> None:
    """Set out [d] to the flattened sums over the episodes, w1 turned back, over their number."""
    inputs, hidden = w1.shape
    number = out.dtype.type(episodes)
    for h in range(hidden):
        for f in range(inputs):
            out[h * inputs + f] = w1[f, h] / number
    k = hidden * inputs
    out[k : k + hidden] = b1 / number
    k += hidden
    out[k : k + w2.size] = w2.reshape(w2.size) / number
    out[k + w2.size :] = b2 / number
