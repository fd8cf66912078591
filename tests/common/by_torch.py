"""Plain gradient descent by `torch.optim.SGD`, the reference of every inner loop."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from common.episodes import Episode, Rows
from common.parameters import Params


def whole(episode: Episode) -> Rows:
    """Return support and query of an episode as one set of rows."""
    return Rows(*(torch.cat(pair) for pair in zip(*episode, strict=True)))


def sgd(
    problem: Any, batches: Sequence[Rows], *, lr: float, epochs: int, mu: float = 0.0
) -> Params:
    """Return phi: theta after so many epochs of the batches, each a step, all weights 1.

    mu: of FedProx's proximal term (Li et al. 2020, equation 2), written out.
    """
    model, theta = problem.model, problem.theta
    model.load_state_dict(theta)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for rows in [*batches] * epochs:
        loss: Tensor = functional.cross_entropy(model(rows.x), rows.y)
        for name, w in model.named_parameters():
            loss = loss + mu / 2 * (w - theta[name]).square().sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return {name: w.detach().clone() for name, w in model.named_parameters()}
