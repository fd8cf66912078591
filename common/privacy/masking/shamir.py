"""Secret sharing: any t shares give the secret back, fewer say nothing about it.

A. Shamir, "How to Share a Secret", Communications of the ACM 22, 1979,
https://doi.org/10.1145/359168.359176, over the field of the Mersenne prime 2^521 - 1.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from common.errors import CryptoError

PRIME = 2**521 - 1
SECRET_BYTES, SHARE_BYTES = 32, 66
Below = Callable[[int], int]
"""A uniform draw from 0..n-1: `secrets.randbelow`, or a seeded one in tests."""


def split(secret: bytes, *, threshold: int, positions: Sequence[int], below: Below) -> list[bytes]:
    """Return a share [66] of the secret [32] for each position, any `threshold` of which suffice.

    positions: the field elements at which the polynomial is evaluated, distinct and at least 1.
    """
    coefficients = [below(PRIME) for _ in range(threshold - 1)]
    constant = int.from_bytes(secret, "big")
    return [_encode(_evaluate(coefficients, constant, x)) for x in positions]


def _evaluate(coefficients: Sequence[int], constant: int, x: int) -> int:
    value = 0
    for coefficient in coefficients:  # reduced once at the end: x is small, Python's ints grow
        value = (value + coefficient) * x
    return (value + constant) % PRIME


def _encode(value: int) -> bytes:
    return value.to_bytes(SHARE_BYTES, "big")


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Return the secret [32] whose shares by position are given: exactly a threshold of them.

    Raises:
        CryptoError: they are not shares of one secret of 32 bytes. Not every wrong set is noticed.
    """
    values = {x: int.from_bytes(share, "big") for x, share in shares.items()}
    weights = weights_at_zero(tuple(values))
    secret = sum(weights[x] * value for x, value in values.items()) % PRIME
    if secret >> (8 * SECRET_BYTES):
        raise CryptoError(
            "bad-shares",
            "the shares are not of one secret",
            where="secret sharing",
            remedy="try others",
        )
    return secret.to_bytes(SECRET_BYTES, "big")


@lru_cache(maxsize=1024)  # the secrets of a turn are put together from the same positions
def weights_at_zero(positions: tuple[int, ...]) -> dict[int, int]:
    """Return what each position's share counts for: Lagrange's basis polynomials at 0."""
    weights = {}
    for x in positions:
        above = below = 1
        for other in positions:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        weights[x] = above * pow(below, -1, PRIME) % PRIME
    return weights
