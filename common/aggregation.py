"""Aggregation: many sites' updates to one."""

from collections.abc import Iterable

import torch
from torch import Tensor


def weighted_mean(updates: Iterable[tuple[float, Tensor]]) -> Tensor:
    """Return sum(w_i u_i) / sum(w_i), summed in float64 in the order given, in the updates' dtype.

    The updates [d] are consumed one by one, so memory does not grow with their number. The weights
    come from the study's roster; those of the sites that answered are normalised to sum 1.
    """
    total, weights, dtype = None, 0.0, torch.float32
    for weight, update in updates:
        total = update.new_zeros(update.shape, dtype=torch.float64) if total is None else total
        total.add_(update.double(), alpha=weight)
        weights, dtype = weights + weight, update.dtype
    if total is None:
        raise ValueError("no update to aggregate")
    return (total / weights).to(dtype)
