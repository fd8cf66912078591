"""The inner loop: from the initialization theta to the adapted phi.

Finn, Abbeel, Levine: "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
ICML 2017, arXiv 1703.03400.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.func import grad

from common.episodes import Rows
from common.models import Loss
from common.parameters import Params


def inner_step(
    loss: Loss, phi: Params, rows: Rows, rates: Mapping[str, Tensor], *, second_order: bool
) -> Params:
    """Return phi after one gradient step on `rows` (Finn et al. 2017, Algorithm 2, line 6).

    rates: one tensor a parameter, 0-d or shaped like it. With `second_order` the step stays
    differentiable with respect to phi and the rates; without, its gradient counts as a constant.
    """
    gradient = grad(loss)(phi, *rows)
    if not second_order:
        gradient = {name: g.detach() for name, g in gradient.items()}
    return {name: p - rates[name] * gradient[name] for name, p in phi.items()}


def adapt(
    loss: Loss,
    theta: Params,
    rows: Rows,
    rates: Mapping[str, Tensor],
    *,
    steps: int,
    second_order: bool = False,
) -> Params:
    """Return phi: theta after `steps` inner steps on `rows` (for 0 steps theta itself)."""
    phi = theta
    for _ in range(steps):
        phi = inner_step(loss, phi, rows, rates, second_order=second_order)
    return phi


def constant_rates(theta: Params, lr: float) -> Params:
    """Return the same inner rate for every parameter, as 0-d tensors beside theta."""
    return {name: p.new_tensor(lr) for name, p in theta.items()}
