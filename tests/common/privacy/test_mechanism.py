import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.crypto import ByteStream
from common.privacy.mechanism import UNIT, Mechanism, on_grid

MECHANISM = Mechanism(clip_norm=1.0, noise_multiplier=2.0)


def test_a_long_row_is_clipped_and_a_short_one_kept() -> None:
    # ||(3, 4)|| = 5; the margin of 1e-6 stays below four digits.
    units = MECHANISM.bounded(np.array([[3.0, 4.0], [0.3, 0.4]]))
    np.testing.assert_allclose(units * UNIT, [[0.6, 0.8], [0.3, 0.4]], atol=2e-6)


@given(arrays(np.float32, (3, 7), elements=st.floats(width=32)))
def test_no_row_is_ever_longer_than_the_bound(rows: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        units = MECHANISM.bounded(rows)
    assert np.linalg.norm(units * UNIT, axis=1).max() <= 1.0


def test_what_is_not_finite_counts_as_zero() -> None:
    units = MECHANISM.bounded(np.array([[np.nan, 0.5], [np.inf, 0.5], [0.0, 0.5]]))
    assert units[:2].any() == np.False_
    assert units[2, 1] == round(0.5 / UNIT)


def test_a_release_is_the_integer_sum_and_noise_over_the_expected_number() -> None:
    rows = np.array([[0.25, 0.5], [-0.5, 0.125]])
    noise = MECHANISM.noise(ByteStream(bytes(32)), 2)
    released = MECHANISM.release(rows, ByteStream(bytes(32)), expected=4.0)
    # (.25 - .5, .5 + .125) in units, exactly, plus the noise; then divided by 4.
    total = np.array([-0.25, 0.625]) / UNIT + noise
    assert (released * 4 / UNIT).tolist() == total.tolist()


def test_without_a_group_the_noise_alone_is_released() -> None:
    released = MECHANISM.release(np.zeros((0, 5)), ByteStream(bytes(32)), expected=4.0)
    assert released.shape == (5,)
    assert released.all()


@pytest.mark.parametrize("value", [1e-12, 1 / 3, -7.123456789, 2.0**20])
def test_the_grid_is_fine_and_sums_on_it_are_exact(value: float) -> None:
    rounded = float(on_grid(np.array([value]))[0])
    assert abs(rounded - value) <= UNIT / 2
    assert (rounded + 1) - 1 == rounded
