"""Small dense kernels of a network with one hidden layer, compiled: products, ReLU, softmax.

Rows of H hidden units stand together in memory and H is a compile-time constant (`hidden`), as is
the number of classes C, so the inner loops unroll into vector instructions. All arrays have one
floating type; a literal number would turn float32 arithmetic into float64.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.jit import constant, jit

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
Scalar = Any
"""A number of the arrays' own type."""


class Network(NamedTuple):
    """Parameters: w1 [inputs, H] (transposed, so that rows of H stand together), w2 [C, H]."""

    w1: Floats
    b1: Floats
    w2: Floats
    b2: Floats


@jit
def add_product(out: Floats, a: Floats, b: Floats, hidden: int) -> None:
    """Add a [n, m] @ b [m, H] to out [n, H], in blocks of 5 rows and 4 terms that fit registers."""
    constant(hidden)
    n, m = a.shape
    i = 0
    while i + 5 <= n:
        k = 0
        while k + 4 <= m:
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            a40, a41, a42, a43 = a[i + 4, k], a[i + 4, k + 1], a[i + 4, k + 2], a[i + 4, k + 3]
            for h in range(hidden):
                b0, b1, b2, b3 = b[k, h], b[k + 1, h], b[k + 2, h], b[k + 3, h]
                out[i, h] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                out[i + 1, h] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                out[i + 2, h] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                out[i + 3, h] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3
                out[i + 4, h] += a40 * b0 + a41 * b1 + a42 * b2 + a43 * b3
            k += 4
        while k < m:
            for r in range(i, i + 5):
                a0 = a[r, k]
                for h in range(hidden):
                    out[r, h] += a0 * b[k, h]
            k += 1
        i += 5
    while i < n:
        k = 0
        while k + 4 <= m:
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            for h in range(hidden):
                out[i, h] += (
                    a00 * b[k, h] + a01 * b[k + 1, h] + a02 * b[k + 2, h] + a03 * b[k + 3, h]
                )
            k += 4
        while k < m:
            a00 = a[i, k]
            for h in range(hidden):
                out[i, h] += a00 * b[k, h]
            k += 1
        i += 1


@jit
def first_layer(out: Floats, x: Floats, net: Network, hidden: int) -> None:
    """Set out [n, H] to x w1 + b1."""
    constant(hidden)
    for i in range(x.shape[0]):
        for h in range(hidden):
            out[i, h] = net.b1[h]
    add_product(out, x, net.w1, hidden)


@jit
def relu(out: Floats, z: Floats, hidden: int) -> None:
    """Set out [n, H] to max(z, 0); NaN stays NaN."""
    constant(hidden)
    zero = z.dtype.type(0)
    for i in range(z.shape[0]):
        for h in range(hidden):
            out[i, h] = zero if z[i, h] <= zero else z[i, h]


@jit
def gram(out: Floats, x: Floats, support: Floats, scale: Scalar) -> None:
    """Set out [n, S] to scale (x support^T + 1)."""
    n, inputs = x.shape
    zero = scale - scale
    for j in range(support.shape[0]):
        i = 0
        while i + 5 <= n:  # five sums at a time keep the processor busy
            t0, t1, t2, t3, t4 = zero, zero, zero, zero, zero
            for f in range(inputs):
                value = support[j, f]
                t0 += value * x[i, f]
                t1 += value * x[i + 1, f]
                t2 += value * x[i + 2, f]
                t3 += value * x[i + 3, f]
                t4 += value * x[i + 4, f]
            out[i, j], out[i + 1, j] = scale * t0 + scale, scale * t1 + scale
            out[i + 2, j], out[i + 3, j] = scale * t2 + scale, scale * t3 + scale
            out[i + 4, j] = scale * t4 + scale
            i += 5
        while i < n:
            t0 = zero
            for f in range(inputs):
                t0 += support[j, f] * x[i, f]
            out[i, j] = scale * t0 + scale
            i += 1


@jit
def scores(out: Floats, rows: Floats, w2: Floats, hidden: int, classes: int) -> None:
    """Set out [n, C] to rows [n, H] @ w2 [C, H]^T."""
    constant(hidden)
    constant(classes)
    n = rows.shape[0]
    zero = out.dtype.type(0)
    for c in range(classes):
        i = 0
        while i + 5 <= n:
            t0, t1, t2, t3, t4 = zero, zero, zero, zero, zero
            for h in range(hidden):
                value = w2[c, h]
                t0 += value * rows[i, h]
                t1 += value * rows[i + 1, h]
                t2 += value * rows[i + 2, h]
                t3 += value * rows[i + 3, h]
                t4 += value * rows[i + 4, h]
            out[i, c], out[i + 1, c], out[i + 2, c] = t0, t1, t2
            out[i + 3, c], out[i + 4, c] = t3, t4
            i += 5
        while i < n:
            t0 = zero
            for h in range(hidden):
                t0 += w2[c, h] * rows[i, h]
            out[i, c] = t0
            i += 1


@jit
def softmax_residual(p: Floats, r: Floats, b2: Floats, y: Labels, w: Floats, classes: int) -> None:
    """Turn scores in r [n, C] into P and R = w (P - Y)."""
    constant(classes)
    for i in range(p.shape[0]):
        top = r[i, 0] + b2[0]
        for c in range(classes):
            r[i, c] += b2[c]
            top = max(top, r[i, c])
        total = top - top
        for c in range(classes):
            p[i, c] = np.exp(r[i, c] - top)
            total += p[i, c]
        for c in range(classes):
            p[i, c] /= total
            r[i, c] = w[i] * p[i, c]
        r[i, y[i]] -= w[i]


@jit
def add_head_gradient(
    w2: Floats, b2: Floats, r: Floats, rows: Floats, scale: Scalar, hidden: int, classes: int
) -> None:
    """Add scale R^T rows to w2 [C, H] and scale 1^T R to b2 [C]."""
    constant(hidden)
    constant(classes)
    n = rows.shape[0]
    for c in range(classes):
        i = 0
        while i + 5 <= n:
            r0, r1, r2 = scale * r[i, c], scale * r[i + 1, c], scale * r[i + 2, c]
            r3, r4 = scale * r[i + 3, c], scale * r[i + 4, c]
            b2[c] += r0 + r1 + r2 + r3 + r4
            for h in range(hidden):
                w2[c, h] += (
                    r0 * rows[i, h]
                    + r1 * rows[i + 1, h]
                    + r2 * rows[i + 2, h]
                    + r3 * rows[i + 3, h]
                    + r4 * rows[i + 4, h]
                )
            i += 5
        while i < n:
            r0 = scale * r[i, c]
            b2[c] += r0
            for h in range(hidden):
                w2[c, h] += r0 * rows[i, h]
            i += 1


@jit
def first_layer_gradient(
    out: Floats, before: Floats, r: Floats, w2: Floats, rows: Floats, hidden: int, classes: int
) -> None:
    """Set out [n, H] to before + (R w2) where a unit is on: rows [n, H] > 0."""
    constant(hidden)
    constant(classes)
    zero = out.dtype.type(0)
    for i in range(rows.shape[0]):
        for h in range(hidden):
            total = r[i, 0] * w2[0, h]
            for c in range(1, classes):
                total += r[i, c] * w2[c, h]
            out[i, h] = before[i, h] + (total if rows[i, h] > zero else zero)


@jit
def add_rows(out: Floats, rows: Floats, hidden: int) -> None:
    """Add the sum of rows [n, H] to out [H]."""
    constant(hidden)
    for i in range(rows.shape[0]):
        for h in range(hidden):
            out[h] += rows[i, h]


@jit
def shares(out: Floats, weight: Floats) -> None:
    """Set out [n] to each row's share of the weight; of weight 0 in all, NaN."""
    total = weight[0] - weight[0]
    for i in range(weight.shape[0]):
        total += weight[i]
    for i in range(weight.shape[0]):
        out[i] = weight[i] / total


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
