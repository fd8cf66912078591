"""The reference network's updates by the compiled kernels, from tensors to tensors.

`common.models.perceptron` with cross-entropy: one hidden layer, any width, inputs and classes.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.closed_form import meta_gradients
from common.episodes import Episode, Rows
from common.jit import specialise
from common.kernels import Floats, Network
from common.local_sgd import local_updates
from common.parameters import Params, count


def maml_updates(
    meta: Params, episodes: Episode, *, lr: float, steps: int, second_order: bool
) -> Tensor:
    """Return each site's mean meta-gradient [B, d] of the reference network's parameters `meta`.

    episodes: [B, E, ...], x [..., inputs], y int64. Without `second_order`: first-order MAML's.
    """
    net, out = network(meta), _room(meta, episodes.support)
    sides = [_arrays(side) for side in episodes]
    classes, hidden = net.w2.shape
    run = _compiled_maml(net.b1.dtype, hidden, classes)
    run(net, *sides, net.b1.dtype.type(lr), steps, second_order, out, hidden, classes)
    return torch.from_numpy(out)


def sgd_updates(meta: Params, batches: Rows, *, lr: float, mu: float, epochs: int) -> Tensor:
    """Return each site's theta - w [B, d] after plain SGD over its batches [B, E, ...] in turn."""
    net, out = network(meta), _room(meta, batches)
    classes, hidden = net.w2.shape
    number = net.b1.dtype.type
    run = _compiled_sgd(net.b1.dtype, hidden, classes)
    run(net, _arrays(batches), number(lr), number(mu), epochs, out, hidden, classes)
    return torch.from_numpy(out)


def network(meta: Params) -> Network:
    """Return the parameters of `common.models.perceptron` in the kernels' layout."""
    w1, b1, w2, b2 = (p.detach().numpy() for p in meta.values())
    return Network(np.ascontiguousarray(w1.T), b1, w2, b2)


def _arrays(rows: Rows) -> tuple[Any, ...]:
    return tuple(np.ascontiguousarray(part.numpy()) for part in rows)


def _room(meta: Params, rows: Rows) -> Floats:
    """Return memory for one update a site."""
    dtype = next(iter(meta.values())).detach().numpy().dtype
    return np.empty((len(rows.weight), count(meta)), dtype=dtype)


@lru_cache
def _compiled_maml(dtype: np.dtype[Any], hidden: int, classes: int) -> Callable[..., None]:
    """Return `meta_gradients` for these constants and arrays of this type."""
    net, side, out = _examples(dtype, hidden, classes)
    rest = (dtype.type(0), 1, True, out)
    return specialise(meta_gradients, net, side, side, *rest, hidden=hidden, classes=classes)


@lru_cache
def _compiled_sgd(dtype: np.dtype[Any], hidden: int, classes: int) -> Callable[..., None]:
    """Return `local_updates` for these constants and arrays of this type."""
    net, side, out = _examples(dtype, hidden, classes)
    rest = (dtype.type(0), dtype.type(0), 1, out)
    return specialise(local_updates, net, side, *rest, hidden=hidden, classes=classes)


def _examples(dtype: np.dtype[Any], hidden: int, classes: int) -> tuple[Network, Any, Floats]:
    """Return a network, one side of an episode and an update, for their types alone."""

    def zeros(*shape: int) -> Floats:
        return np.zeros(shape, dtype)

    net = Network(zeros(1, hidden), zeros(hidden), zeros(classes, hidden), zeros(classes))
    side = (zeros(1, 1, 1, 1), np.zeros((1, 1, 1), np.int64), zeros(1, 1, 1))
    return net, side, zeros(1, 1)
