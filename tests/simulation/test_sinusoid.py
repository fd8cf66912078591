import numpy as np
import pytest
import torch

from common.parameters import flatten
from common.randomness import generator
from simulation import sinusoid
from simulation.sinusoid import draw_tasks, evaluate, table, train


@pytest.fixture(autouse=True)
def few_test_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinusoid, "TEST_TASKS", 200)


def test_twenty_rounds_already_lower_the_error_after_adaptation() -> None:
    before, after = (evaluate(train(n, seed=0, quiet=True), seed=0) for n in (0, 20))
    assert list(after) == [0, 1, 5, 10]
    # The same 200 tasks: the mean paired difference is beyond three standard errors of 0.
    for steps in (1, 5, 10):
        gain = before[steps] - after[steps]
        assert gain.mean() > 3 * gain.std() / len(gain) ** 0.5


def test_the_same_seed_gives_the_same_initialization_and_another_seed_another() -> None:
    one, same, other = (flatten(train(3, seed=s, quiet=True)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_tasks_are_the_papers_sinusoids() -> None:
    episodes = draw_tasks(generator("tasks"), tasks=500, query=30)
    x, y = (torch.cat([a, b], dim=1) for a, b in zip(*(side[:2] for side in episodes), strict=True))
    assert x.shape == y.shape == (500, sinusoid.SHOTS + 30, 1)
    assert x.abs().max() <= 5
    # y = A sin(x - b) = (A cos b) sin x - (A sin b) cos x: two coefficients a task, no residual.
    for xs, ys in zip(x[:, :, 0].double().numpy(), y[:, :, 0].double().numpy(), strict=True):
        basis = np.stack([np.sin(xs), -np.cos(xs)], axis=1)
        (cosine, sine), residual, *_ = np.linalg.lstsq(basis, ys, rcond=None)
        assert residual.sum() < 1e-8
        assert 0.1 - 1e-3 <= np.hypot(cosine, sine) <= 5 + 1e-3  # the amplitude A
        assert -1e-3 <= np.arctan2(sine, cosine) <= np.pi + 1e-3  # the phase b


def test_the_table_shows_the_mean_and_1_96_standard_errors() -> None:
    # Errors 1 and 3: mean 2, standard deviation sqrt(2), standard error 1; 2 +- 1.96.
    text = table({5: torch.tensor([1.0, 3.0])})
    assert text.splitlines()[-1] == "| 5 | 2.000 | 0.040 to 3.960 |"


def test_the_command_writes_a_table_and_nothing_else_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sinusoid", "--iterations", "2", "--seed", "3"])
    sinusoid.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| inner steps | mean squared error | 95 % interval |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["0", "1", "5", "10"]
