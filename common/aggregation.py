"""Aggregation: many sites' updates to one, summed as they come so that memory does not grow."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.jit import jit


@dataclass(frozen=True)
class WeightedSum:
    """sum(w_i u_i) [d] in float64, and sum(w_i); the weights come from the study's roster."""

    total: Tensor
    weight: float

    def plus(self, other: "WeightedSum") -> "WeightedSum":
        """Return the sum of both."""
        return WeightedSum(self.total + other.total, self.weight + other.weight)

    def mean(self) -> Tensor:
        """Return the weighted mean [d], float32.

        Raises:
            ValueError: nothing was summed.
        """
        if not self.weight > 0:
            raise ValueError("no update to aggregate")
        return (self.total / self.weight).float()


def nothing(dim: int) -> WeightedSum:
    """Return the empty sum of vectors [dim]."""
    return WeightedSum(torch.zeros(dim, dtype=torch.float64), 0.0)


def weighted_sum(updates: Iterable[tuple[float, Tensor]], dim: int) -> WeightedSum:
    """Return the sum of weighted updates [dim], added one by one in the order given."""
    total, weights = nothing(dim).total, 0.0
    for weight, update in updates:
        total.add_(update.double(), alpha=weight)
        weights += weight
    return WeightedSum(total, weights)


@jit
def norms(updates: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean norms [B] of the updates [B, d], summed in float64."""
    found = np.empty(len(updates))
    for b in range(len(updates)):
        row = updates[b].astype(np.float64)
        found[b] = np.sqrt((row * row).sum())
    return found


@jit
def add_weighted(
    total: NDArray[np.float64], updates: NDArray[np.floating], weights: NDArray[np.float64]
) -> None:
    """Add the updates [B, d] times their weights [B] to total [d]; one of weight 0 may hold NaN."""
    for b in range(len(updates)):
        if weights[b] != 0:
            total += weights[b] * updates[b].astype(np.float64)
