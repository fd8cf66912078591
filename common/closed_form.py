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

from typing import NamedTuple

import numpy as np

from common.inner_loop import Trace, inner_loop, make_trace
from common.jit import constant, jit
from common.kernels import (
    Floats,
    Labels,
    Network,
    Scalar,
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
    write,
)

Side = tuple[Floats, Labels, Floats]
"""x [B, E, n, inputs], y [B, E, n], weight [B, E, n]."""


class Adjoint(NamedTuple):
    """Derivatives of the query loss: of A, Z, O and D of a step [S, H] or [S, C]; of w2 and b2."""

    moved: Floats
    z: Floats
    o: Floats
    d: Floats
    w2: Floats
    b2: Floats


@jit
def adjoint_step(
    trace: Trace,
    j: int,
    bar: Adjoint,
    g: Floats,
    w: Floats,
    lr: Scalar,
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


class Room(NamedTuple):
    """Memory for one episode: first layer, hidden units, softmax, Gram matrices, weights."""

    zs: Floats
    zq: Floats
    z: Floats
    hq: Floats
    pq: Floats
    rq: Floats
    gs: Floats
    gq: Floats
    ws: Floats
    wq: Floats
    none: Floats


@jit
def make_room(s: int, q: int, like: Floats, hidden: int, classes: int) -> Room:
    """Return memory for episodes of s and q rows, of the type of `like`."""
    dtype = like.dtype
    return Room(
        np.empty((s, hidden), dtype),
        np.empty((q, hidden), dtype),
        np.empty((s, hidden), dtype),
        np.empty((q, hidden), dtype),
        np.empty((q, classes), dtype),
        np.empty((q, classes), dtype),
        np.empty((s, s), dtype),
        np.empty((q, s), dtype),
        np.empty(s, dtype),
        np.empty(q, dtype),
        np.zeros((q, hidden), dtype),
    )


@jit
def make_adjoint(s: int, like: Floats, hidden: int, classes: int) -> Adjoint:
    """Return memory for the derivatives."""
    dtype = like.dtype
    return Adjoint(
        np.empty((s, hidden), dtype),
        np.empty((s, hidden), dtype),
        np.empty((s, classes), dtype),
        np.empty((s, hidden), dtype),
        np.empty((classes, hidden), dtype),
        np.empty(classes, dtype),
    )


@jit
def meta_gradients(
    net: Network,
    support: Side,
    query: Side,
    lr: Scalar,
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
    q, zero, dtype = qx.shape[2], lr - lr, net.w1.dtype
    trace = make_trace(net, s, steps, hidden, classes)
    bar, room = make_adjoint(s, net.b1, hidden, classes), make_room(s, q, net.b1, hidden, classes)
    zsbar = np.empty((episodes * s, hidden), dtype)
    zqbar = np.empty((episodes * q, hidden), dtype)
    w1bar, b1bar = np.empty((inputs, hidden), dtype), np.empty(hidden, dtype)
    w2bar, b2bar = np.empty((classes, hidden), dtype), np.empty(classes, dtype)
    for b in range(sites):
        w1bar[:], b1bar[:], w2bar[:], b2bar[:] = zero, zero, zero, zero
        for e in range(episodes):  # one body: as a function of its own it took a tenth longer
            shares(room.ws, sw[b, e])
            shares(room.wq, qw[b, e])
            gram(room.gs, sx[b, e], sx[b, e], -lr)
            gram(room.gq, qx[b, e], sx[b, e], -lr)
            first_layer(room.zs, sx[b, e], net, hidden)
            first_layer(room.zq, qx[b, e], net, hidden)
            inner_loop(trace, room.z, room.zs, room.gs, (sy[b, e], room.ws), lr, hidden, classes)
            # The query loss at phi, and its derivative with respect to phi.
            w2, zs, zq = trace.w2[steps], zsbar[e * s : (e + 1) * s], zqbar[e * q : (e + 1) * q]
            add_product(room.zq, room.gq, trace.moved[steps], hidden)
            relu(room.hq, room.zq, hidden)
            scores(room.rq, room.hq, w2, hidden, classes)
            softmax_residual(room.pq, room.rq, trace.b2[steps], qy[b, e], room.wq, classes)
            bar.w2[:], bar.b2[:], bar.moved[:] = zero, zero, zero
            add_head_gradient(bar.w2, bar.b2, room.rq, room.hq, lr / lr, hidden, classes)
            first_layer_gradient(zq, room.none, room.rq, w2, room.hq, hidden, classes)
            zs[:] = zero
            if second_order:  # back through the inner steps
                add_product(bar.moved, room.gq.T, zq, hidden)
                for j in range(steps - 1, -1, -1):
                    adjoint_step(trace, j, bar, room.gs, room.ws, lr, hidden, classes)
                    zs += bar.z
            w2bar += bar.w2
            b2bar += bar.b2
        add_product(w1bar, sx[b].reshape(episodes * s, inputs).T, zsbar, hidden)
        add_product(w1bar, qx[b].reshape(episodes * q, inputs).T, zqbar, hidden)
        add_rows(b1bar, zsbar, hidden)
        add_rows(b1bar, zqbar, hidden)
        write(out[b], w1bar, b1bar, w2bar, b2bar, episodes)
