"""A theta that a malicious coordinator makes up so that one patient alone moves the update.

Boenisch, Dziedzic, Schuster, Shamsabadi, Shumailov, Papernot, "When the Curious Abandon Honesty:
Federated Learning Is Not Private", EuroS&P 2023, arXiv 2112.02918, call such weights a trap.
"""

import torch
from torch import Tensor

from common.parameters import Params

STEEP, MARGIN = 100.0, 0.02
"""What the neuron's output grows by, and how far inside the patient's value it begins to fire."""
WRONG = 100.0
"""The logits' distance, towards the other label, that the neuron's output makes."""


def trap(like: Params, x: Tensor, y: int, others: Tensor) -> Params:
    """Return the reference network in which one neuron fires for x [13] and hardly for others.

    All other neurons are dead, so what others send is the gradient of the last bias alone.
    """
    mean, spread = others.mean(0), others.std(0)
    far = (x - mean) / spread
    direction = far / spread / far.norm()
    theta = {name: torch.zeros_like(p) for name, p in like.items()}
    theta["0.bias"].fill_(-1.0)
    theta["0.weight"][0] = STEEP * direction
    theta["0.bias"][0] = -STEEP * (x @ direction - MARGIN)
    theta["2.weight"][:, 0] = WRONG / 2 * torch.tensor([1.0, -1.0]) * (1 if y == 1 else -1)
    return theta
