"""The ring of integers modulo 2^64, in which vectors are masked and added without any error."""

import numpy as np
from numpy.typing import NDArray

from common.crypto import ByteStream
from common.errors import NonFiniteError

SCALE_BITS = 32
LIMIT = 2.0**20
"""A number's largest magnitude: the sum of 1024 of them stays below 2^30, far from wrapping."""

Words = NDArray[np.uint64]


def encode(values: NDArray[np.float64]) -> Words:
    """Return round(values * 2^32) modulo 2^64; the error is at most 2^-33.

    Raises:
        NonFiniteError: a value is NaN, infinite or over `LIMIT`.
    """
    if not (np.abs(values) <= LIMIT).all():  # written so that NaN fails
        raise NonFiniteError(
            f"a number is NaN, infinite or over {LIMIT:g}",
            where="the vector to be masked",
            remedy="lower clip_norm or the site's weight",
        )
    return np.rint(values * 2.0**SCALE_BITS).astype(np.int64).view(np.uint64)


def decode(words: Words) -> NDArray[np.float64]:
    """Return the numbers that words stand for, the upper half of the ring being negative."""
    return words.view(np.int64) / 2.0**SCALE_BITS


def mask_stream(key: bytes, dim: int) -> Words:
    """Return the mask [dim] of a key, which serves no other stream."""
    return np.frombuffer(ByteStream(key).take(8 * dim), dtype="<u8")
