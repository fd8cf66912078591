"""Parameters as a dictionary of tensors, and the same as one flat vector for the wire."""

from collections.abc import Mapping

import torch
from torch import Tensor

Params = dict[str, Tensor]


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """Return all entries as one vector [d], tensors in the order of the dictionary.

    >>> flatten({"w": torch.ones(2, 2), "b": torch.zeros(1)}).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    return torch.cat([p.reshape(-1) for p in params.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> Params:
    """Return `vector` [d] cut into the names and shapes of `like`: the inverse of `flatten`."""
    pieces = torch.split(vector, [p.numel() for p in like.values()])
    return {name: v.view(p.shape) for (name, p), v in zip(like.items(), pieces, strict=True)}


def count(params: Mapping[str, Tensor]) -> int:
    """Return d, the number of scalar entries."""
    return sum(p.numel() for p in params.values())


def all_finite(params: Mapping[str, Tensor]) -> bool:
    """Whether no entry is NaN or infinite."""
    return all(bool(torch.isfinite(p).all()) for p in params.values())
