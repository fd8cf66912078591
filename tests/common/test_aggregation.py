import numpy as np
import pytest
import torch

from common.aggregation import add_weighted, norms, nothing, weighted_sum


def test_weights_are_normalised_over_those_that_answered() -> None:
    # (1 * 3 + 3 * 7) / 4 = 6
    mean = weighted_sum([(1.0, torch.tensor([3.0])), (3.0, torch.tensor([7.0]))], 1).mean()
    assert mean.tolist() == [6.0]
    assert mean.dtype == torch.float32


def test_equal_updates_are_their_own_mean_whatever_the_weights() -> None:
    update = torch.randn(5)
    assert torch.equal(weighted_sum(((w, update) for w in (0.1, 7.0, 1e6)), 5).mean(), update)


def test_it_is_summed_in_float64() -> None:
    # In float32, 1e8 + 1 - 1e8 would lose the 1.
    values = [(1.0, torch.tensor([v])) for v in (1e8, 1.0, -1e8)]
    assert weighted_sum(values, 1).mean().item() == pytest.approx(1 / 3)


def test_two_sums_make_the_sum_of_all() -> None:
    values = [(float(w), torch.randn(3)) for w in (1, 2, 3, 4)]
    parts = weighted_sum(values[:2], 3).plus(weighted_sum(values[2:], 3))
    torch.testing.assert_close(parts.mean(), weighted_sum(values, 3).mean())


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no update"):
        nothing(1).mean()


def test_norms_are_taken_in_float64() -> None:
    # (3e30)^2 is infinite in float32; sqrt(3^2 + 4^2) = 5.
    updates = np.array([[3.0, 4.0], [3e30, 4e30], [np.nan, 0.0]], dtype=np.float32)
    assert norms(updates)[:2].tolist() == pytest.approx([5.0, 5e30])
    assert np.isnan(norms(updates)[2])


def test_an_update_of_weight_0_leaves_no_trace_even_if_it_is_nan() -> None:
    # 1 + 2 * 3 + 0 * nan + 1 * 4 = 11
    total, updates = np.ones(1), np.array([[3.0], [np.nan], [4.0]], dtype=np.float32)
    add_weighted(total, updates, np.array([2.0, 0.0, 1.0]))
    assert total.tolist() == [11.0]
