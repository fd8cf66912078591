"""The suite's own assertion on meta-gradients, and a MAML that is written for reading.

The planted faults go through the same ones.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from common.episodes import Episode, Rows
from common.models import Loss
from common.parameters import Params


def assert_is_gradient(
    update: Params,
    objective: Callable[[Params], float],
    at: Params,
    *,
    step: float = 1e-5,
    tolerance: float = 1e-7,
) -> None:
    """Assert that `update` is the gradient of `objective`, by central differences.

    Every coordinate is moved by +-step; at 1e-5 rounding (1e-16 / step) and curvature (step^2) both
    stay near 1e-10. The relative error is norm(update - fd) / norm(fd), taken tensor by tensor, so
    that a small wrong tensor cannot hide behind large right ones.
    """
    assert {n: u.shape for n, u in update.items()} == {n: p.shape for n, p in at.items()}
    for name, value in at.items():
        assert value.dtype == torch.float64
        expected = torch.empty_like(value)
        for i in range(value.numel()):
            move = torch.zeros_like(value)
            move.view(-1)[i] = step
            up, down = (objective(at | {name: value + m}) for m in (move, -move))
            expected.view(-1)[i] = (up - down) / (2 * step)
        error = (update[name] - expected).norm() / expected.norm()
        assert error <= tolerance, f"{name}: relative error {error:.1e}"


def plain_trajectory(
    loss: Loss,
    theta: Params,
    support: Rows,
    rates: Mapping[str, Tensor | float],
    steps: int,
    *,
    keep_graph: bool,
) -> list[Params]:
    """Return phi_0 .. phi_K, one `torch.autograd` step after the other; only what has a rate moves.

    keep_graph: for a gradient through the steps; the values are the same without.
    """
    trajectory = [theta]
    for _ in range(steps):
        phi = dict(trajectory[-1])
        moving = {name: phi[name] for name in rates}
        gradients = torch.autograd.grad(
            loss(phi, *support), list(moving.values()), create_graph=keep_graph
        )
        for (name, p), g in zip(moving.items(), gradients, strict=True):
            phi[name] = p - rates[name] * g
        trajectory.append(phi)
    return trajectory


def plain_query_loss(
    loss: Loss,
    theta: Params,
    episodes: Episode,
    rates: Mapping[str, Tensor | float],
    steps: int,
    step_weights: list[float] | None = None,
    *,
    keep_graph: bool = False,
) -> Tensor:
    """Return the mean over episodes of L_Q(phi_K), or of sum_j v_j L_Q(phi_j) given v_1 .. v_K."""
    theta = {n: p if p.requires_grad else p.clone().requires_grad_() for n, p in theta.items()}
    losses = []
    for support, query in each_episode(episodes):
        trajectory = plain_trajectory(loss, theta, support, rates, steps, keep_graph=keep_graph)
        if step_weights is None:
            losses.append(loss(trajectory[-1], *query))
        else:
            after = [loss(phi, *query) for phi in trajectory[1:]]
            losses.append(
                sum((v * q for v, q in zip(step_weights, after, strict=True)), 0 * after[0])
            )
    return torch.stack(losses).mean()


def plain_maml(loss: Loss, theta: Params, episodes: Episode, lr: float, steps: int) -> Params:
    """Return the exact meta-gradient of MAML, by one backward pass through the plain loop."""
    leaves = {name: p.clone().requires_grad_() for name, p in theta.items()}
    rates = dict.fromkeys(leaves, lr)
    objective = plain_query_loss(loss, leaves, episodes, rates, steps, keep_graph=True)
    gradients = torch.autograd.grad(objective, list(leaves.values()))
    return dict(zip(leaves, gradients, strict=True))


def each_episode(episodes: Episode) -> list[Episode]:
    """Return a batch of episodes [E, ...] as a list."""
    sides = [[Rows(*r) for r in zip(*(p.unbind(0) for p in s), strict=True)] for s in episodes]
    return [Episode(*pair) for pair in zip(*sides, strict=True)]
