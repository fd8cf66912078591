import pytest
import torch
from torch import Tensor

from common.optimizers import OptimizerName, initial_state, optimizer_step


def gradients(steps: int, dim: int = 7) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(dim, generator=rng) for _ in range(steps)]


def run(name: OptimizerName, lr: float, steps: int) -> Tensor:
    theta = torch.ones(7)
    state = initial_state(name, theta)
    for gradient in gradients(steps):
        theta, state = optimizer_step(name, theta, gradient, state, lr=lr)
    assert state.step == steps
    return theta


@pytest.mark.parametrize(
    ("name", "torch_optimizer"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_it_equals_one_uninterrupted_torch_optimizer_bit_for_bit(
    name: OptimizerName, torch_optimizer: type[torch.optim.Optimizer]
) -> None:
    theta = torch.nn.Parameter(torch.ones(7))
    optimizer = torch_optimizer([theta], lr=0.01)  # type: ignore[call-arg]
    for gradient in gradients(50):
        theta.grad = gradient.clone()
        optimizer.step()
    assert torch.equal(run(name, 0.01, 50), theta.detach())


def test_yogi_takes_the_step_of_its_paper() -> None:
    # g = 1: m = .1, v = 1e-6 - .01 * 1 * sign(1e-6 - 1) = .010001; step .1 / (sqrt(v) + 1e-3).
    theta = torch.zeros(1)
    theta, state = optimizer_step(
        "yogi", theta, torch.ones(1), initial_state("yogi", theta), lr=1.0
    )
    assert state.v.item() == pytest.approx(0.010001)
    assert theta.item() == pytest.approx(-0.1 / (0.010001**0.5 + 1e-3))


def test_the_state_matters_adam_made_anew_each_round_steps_by_sign() -> None:
    theta = torch.ones(7)
    for gradient in gradients(50):
        theta, _ = optimizer_step("adam", theta, gradient, initial_state("adam", theta), lr=0.01)
    signs = sum((g.sign() for g in gradients(50)), start=torch.zeros(7))
    torch.testing.assert_close(theta, 1 - 0.01 * signs)
    assert not torch.allclose(theta, run("adam", 0.01, 50), atol=1e-3)
