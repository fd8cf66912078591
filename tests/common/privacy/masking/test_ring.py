"""The ring of 2^64: rounding is bounded, sums are exact, what is not a number is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.crypto import digest
from common.errors import NonFiniteError
from common.privacy.masking.ring import LIMIT, Words, decode, encode, mask_stream

NUMBERS = st.floats(-LIMIT, LIMIT, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_decoding_undoes_encoding_to_half_a_step(values: list[float]) -> None:
    x = np.array(values)
    assert np.abs(decode(encode(x)) - x).max() <= 2.0**-33


@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=30))
def test_the_sum_of_words_is_the_sum_of_the_integers(rows: list[list[float]]) -> None:
    words = [encode(np.array(row)) for row in rows]
    integers = [sum(round(value * 2**32) for value in column) for column in zip(*rows, strict=True)]
    assert np.sum(words, axis=0, dtype=np.uint64).view(np.int64).tolist() == integers


def test_a_thousand_and_more_sites_at_the_limit_do_not_wrap() -> None:
    total: Words = np.sum([encode(np.array([-LIMIT]))] * 1024, axis=0, dtype=np.uint64)
    assert decode(total) == -1024 * LIMIT


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.nextafter(LIMIT, np.inf), -1e300])
def test_what_cannot_be_encoded_is_refused(bad: float) -> None:
    with pytest.raises(NonFiniteError):
        encode(np.array([0.0, bad]))


def test_a_mask_is_the_stream_of_its_key_and_looks_like_noise() -> None:
    one, other = (mask_stream(digest(i), 4096) for i in range(2))
    assert np.array_equal(one, mask_stream(digest(0), 4096))
    assert np.array_equal(one[:100], mask_stream(digest(0), 100))
    # Half of 2 x 4096 x 64 bits are set: the standard deviation is 362 bits.
    bits = np.unpackbits(np.concatenate([one, other]).view(np.uint8)).sum()
    assert abs(int(bits) - 262_144) < 5 * 362
    assert abs(float(np.corrcoef(one.astype(float), other.astype(float))[0, 1])) < 0.08
