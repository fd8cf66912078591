"""Models and their losses as pure functions of parameters.

Anything that is a `torch.nn.Module` can be meta-learned. Two things that `torch.func.vmap` cannot
carry are refused by torch itself with an error: dropout in training mode and batch normalisation
with running statistics.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from common.parameters import Params

Loss = Callable[[Params, Tensor, Tensor, Tensor], Tensor]
"""(params, x [n, ...], y [n, ...], weight [n]) to a 0-d loss: the weighted mean over rows."""

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""(model output [n, ...], y [n, ...]) to one loss a row [n]."""


def perceptron(inputs: int, *, hidden: int = 64, outputs: int = 2) -> nn.Module:
    """Return the reference model: `inputs` - `hidden` ReLU units - `outputs` logits."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def initialize(build: Callable[[], nn.Module], seed: int) -> tuple[nn.Module, Params]:
    """Return a model and its first parameters, drawn by torch's own scheme from `seed`.

    Torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    return model, {name: p.detach().clone() for name, p in model.named_parameters()}


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of each row; `logits` [n, classes], `y` [n] int64."""
    return functional.cross_entropy(logits, y, reduction="none")


def squared_error(output: Tensor, y: Tensor) -> Tensor:
    """Return the squared error of each row, summed over outputs; both [n, outputs]."""
    return (output - y).square().flatten(1).sum(1)


def weighted_loss(model: nn.Module, row_loss: RowLoss = cross_entropy) -> Loss:
    """Return the loss of `model` as a function of its parameters: sum(w * l) / sum(w).

    Rows of weight 0 are padding: they change neither the loss nor any derivative of it.
    """

    def loss(params: Params, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        rows: Tensor = row_loss(functional_call(model, params, (x,)), y)
        return (weight * rows).sum() / weight.sum()

    return loss
