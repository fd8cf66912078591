"""Server optimizers as pure functions on flat vectors: (theta, update, state) to (theta, state).

Adam: Kingma, Ba, ICLR 2015, arXiv 1412.6980, Algorithm 1, in the order of operations of
`torch.optim.Adam`, whose results it equals bit for bit. Yogi: Reddi et al., "Adaptive Federated
Optimization", ICLR 2021, arXiv 2003.00295, Algorithm 2. The state belongs to the federation: it is
kept over rounds and restarts; an optimizer made anew each round would turn Adam into a sign step.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

OptimizerName = Literal["sgd", "adam", "yogi"]

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
YOGI_BETAS, YOGI_TAU = (0.9, 0.99), 1e-3


class OptimizerState(NamedTuple):
    """Number of steps taken, first moment m [d] and second moment v [d]; SGD leaves both at 0."""

    step: int
    m: Tensor
    v: Tensor


def initial_state(name: OptimizerName, theta: Tensor) -> OptimizerState:
    """Return the state before the first step; Yogi's v starts at tau squared (section 5.2)."""
    second = YOGI_TAU**2 if name == "yogi" else 0.0
    return OptimizerState(0, torch.zeros_like(theta), torch.full_like(theta, second))


def optimizer_step(
    name: OptimizerName, theta: Tensor, update: Tensor, state: OptimizerState, *, lr: float
) -> tuple[Tensor, OptimizerState]:
    """Return theta and state after one step against `update`, a gradient [d]."""
    return _STEPS[name](theta, update, state, lr)


def _sgd(
    theta: Tensor, update: Tensor, state: OptimizerState, lr: float
) -> tuple[Tensor, OptimizerState]:
    return theta.add(update, alpha=-lr), state._replace(step=state.step + 1)


def _adam(
    theta: Tensor, update: Tensor, state: OptimizerState, lr: float
) -> tuple[Tensor, OptimizerState]:
    step, (beta1, beta2) = state.step + 1, ADAM_BETAS
    m = state.m.lerp(update, 1 - beta1)
    v = state.v.mul(beta2).addcmul(update, update, value=1 - beta2)
    denominator = v.sqrt().div((1 - beta2**step) ** 0.5).add(ADAM_EPSILON)
    theta = theta.addcdiv(m, denominator, value=-lr / (1 - beta1**step))
    return theta, OptimizerState(step, m, v)


def _yogi(
    theta: Tensor, update: Tensor, state: OptimizerState, lr: float
) -> tuple[Tensor, OptimizerState]:
    beta1, beta2 = YOGI_BETAS
    square = update.square()
    m = state.m.lerp(update, 1 - beta1)
    v = state.v - (1 - beta2) * square * torch.sign(state.v - square)
    return theta - lr * m / (v.sqrt() + YOGI_TAU), OptimizerState(state.step + 1, m, v)


_STEPS = {"sgd": _sgd, "adam": _adam, "yogi": _yogi}
