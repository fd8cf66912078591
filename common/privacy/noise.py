"""Gaussian noise for clipped updates.

Dwork, Roth, "The Algorithmic Foundations of Differential Privacy", 2014, appendix A.

The draws are a function of a key that the caller chooses, so that a simulation repeats itself.
Whoever knows the key can take the noise off again: this protects nobody outside a simulation.
"""

import numpy as np
import torch
from torch import Tensor


def gaussian(rng: np.random.Generator, dim: int, *, std: float) -> Tensor:
    """Return noise [dim], float32, of standard deviation `std`."""
    return torch.from_numpy(std * rng.standard_normal(dim)).float()
