"""FedAvg's and FedProx's local training of the reference network, compiled.

A site walks from theta to w by plain SGD, one batch after the other (McMahan et al. 2017, arXiv
1602.05629; the proximal term of Li et al. 2020, arXiv 1812.06127, equation 2). `common/algorithms/
fedavg.py` is the definition; tests prove this equal.
"""

import numpy as np

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
    relu,
    scores,
    shares,
    softmax_residual,
    write,
)


@jit
def local_updates(
    net: Network,
    batches: tuple[Floats, Labels, Floats],
    lr: Scalar,
    mu: Scalar,
    epochs: int,
    out: Floats,
    hidden: int,
    classes: int,
) -> None:
    """Set out [B, d] to theta - w of each site, in the order W1 [H, inputs], b1, W2, b2.

    batches: x [B, E, n, inputs], y and weight [B, E, n]: E steps an epoch. mu pulls w to theta.
    """
    constant(hidden)
    constant(classes)
    x, y, weight = batches
    sites, steps, n = x.shape[:3]
    dtype = net.w1.dtype
    z, d, none = (
        np.empty((n, hidden), dtype),
        np.empty((n, hidden), dtype),
        np.zeros((n, hidden), dtype),
    )
    p, r, share = np.empty((n, classes), dtype), np.empty((n, classes), dtype), np.empty(n, dtype)
    for b in range(sites):
        w = Network(net.w1.copy(), net.b1.copy(), net.w2.copy(), net.b2.copy())
        for _ in range(epochs):
            for e in range(steps):
                first_layer(d, x[b, e], w, hidden)
                relu(z, d, hidden)
                scores(r, z, w.w2, hidden, classes)
                shares(share, weight[b, e])
                softmax_residual(p, r, w.b2, y[b, e], share, classes)
                first_layer_gradient(d, none, r, w.w2, z, hidden, classes)
                for i in range(n):
                    for h in range(hidden):
                        d[i, h] *= -lr
                pull(w.w1.reshape(w.w1.size), net.w1.reshape(w.w1.size), lr * mu)
                pull(w.w2.reshape(w.w2.size), net.w2.reshape(w.w2.size), lr * mu)
                pull(w.b1, net.b1, lr * mu)
                pull(w.b2, net.b2, lr * mu)
                add_product(w.w1, x[b, e].T, d, hidden)
                add_rows(w.b1, d, hidden)
                add_head_gradient(w.w2, w.b2, r, z, -lr, hidden, classes)
        write(out[b], net.w1 - w.w1, net.b1 - w.b1, net.w2 - w.w2, net.b2 - w.b2, 1)


@jit
def pull(w: Floats, theta: Floats, rate: Scalar) -> None:
    """Move w [n] towards theta by `rate` of the way."""
    if rate > rate - rate:
        for i in range(w.shape[0]):
            w[i] -= rate * (w[i] - theta[i])
