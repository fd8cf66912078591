import pytest
import torch

from common.aggregation import weighted_mean


def test_weights_are_normalised_over_those_that_answered() -> None:
    # (1 * 3 + 3 * 7) / 4 = 6
    mean = weighted_mean([(1.0, torch.tensor([3.0])), (3.0, torch.tensor([7.0]))])
    assert mean.tolist() == [6.0]
    assert mean.dtype == torch.float32


def test_equal_updates_are_their_own_mean_whatever_the_weights() -> None:
    update = torch.randn(5)
    assert torch.equal(weighted_mean((w, update) for w in (0.1, 7.0, 1e6)), update)


def test_it_is_summed_in_float64() -> None:
    # In float32, 1e8 + 1 - 1e8 would lose the 1.
    values = [(1.0, torch.tensor([v])) for v in (1e8, 1.0, -1e8)]
    assert weighted_mean(values).item() == pytest.approx(1 / 3)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no update"):
        weighted_mean([])
