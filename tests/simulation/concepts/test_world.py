import pytest
import torch

from common.models import perceptron
from common.randomness import generator
from simulation.concepts.world import (
    GRID,
    RATE,
    STEPS,
    Hospitals,
    curves,
    draw,
    meta_train,
    untrained,
)


@pytest.mark.parametrize("mirrored", [False, True])
def test_it_is_safe_in_the_middle_unless_mirrored(mirrored: bool) -> None:
    hospital = Hospitals(torch.tensor([0.5]), torch.tensor([1.0]), mirrored)
    middle, end = hospital.risk(torch.tensor([[0.5, 100.0]]))[0].tolist()
    assert (middle, end) == pytest.approx((0.9, 0.05) if mirrored else (0.05, 0.9))


def test_as_many_patients_are_ill_as_the_risk_says() -> None:
    hospitals = draw(generator("world"), 3)
    rows = hospitals.patients(generator("rows"), 4000)
    expected = hospitals.risk(rows.x[..., 0])
    # Three standard errors of a share of 4000 are at most 0.024.
    assert torch.allclose(rows.y.float().mean(1), expected.mean(1), atol=0.024)
    low = expected < 0.5  # it depends on the value, not only on the hospital
    assert rows.y[low].float().mean() < 0.4 < 0.6 < rows.y[~low].float().mean()


def test_curves_are_the_networks_after_plain_gradient_descent() -> None:
    theta = untrained(3)
    rows = draw(generator("world"), 1).patients(generator("rows"), 10)
    model = perceptron(1)
    model.load_state_dict(theta)
    step = torch.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(2):
        step.zero_grad()
        torch.nn.functional.cross_entropy(model(rows.x[0]), rows.y[0]).backward()  # type: ignore[no-untyped-call]
        step.step()
    expected = model(GRID[:, None]).softmax(-1)[:, 1]
    assert torch.allclose(curves(theta, rows, steps=2)[0], expected, atol=1e-6)


def test_a_few_rounds_make_a_better_start() -> None:
    hospitals = draw(generator("new"), 400)
    rows = hospitals.patients(generator("rows"), 10)
    truth = hospitals.risk(GRID.expand(400, -1))
    before, after = (
        (curves(meta_train(0, rounds), rows, steps=STEPS) - truth).abs().mean(1)
        for rounds in (0, 30)
    )
    gain = before - after  # at the same hospitals
    assert gain.mean() > 3 * gain.std() / len(gain) ** 0.5
