"""Secret sharing: any t shares give the secret back; fewer are consistent with every secret."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CryptoError
from common.privacy.masking.shamir import PRIME, combine, split, weights_at_zero

SECRETS = st.binary(min_size=32, max_size=32)


@given(SECRETS, st.integers(2, 12), st.integers(0, 8), st.randoms(use_true_random=False))
def test_any_threshold_of_shares_gives_the_secret_back(
    secret: bytes, threshold: int, spare: int, rng: Random
) -> None:
    positions = rng.sample(range(1, 1025), threshold + spare)
    shares = split(secret, threshold=threshold, positions=positions, below=rng.randrange)
    chosen = rng.sample(range(len(positions)), threshold)
    assert combine({positions[i]: shares[i] for i in chosen}) == secret


@given(SECRETS, SECRETS, st.integers(2, 12), st.randoms(use_true_random=False))
def test_one_share_less_fits_any_other_secret_just_as_well(
    secret: bytes, other: bytes, threshold: int, rng: Random
) -> None:
    positions = list(range(1, threshold))
    shares = split(secret, threshold=threshold, positions=positions, below=rng.randrange)
    known = dict(zip(positions, shares, strict=True))
    # The share at position t that makes the other secret of them: solve the interpolation for it.
    weights = weights_at_zero((*positions, threshold))
    rest = sum(weights[x] * int.from_bytes(share, "big") for x, share in known.items())
    value = (int.from_bytes(other, "big") - rest) * pow(weights[threshold], -1, PRIME) % PRIME
    assert combine({**known, threshold: value.to_bytes(66, "big")}) == other


def test_a_single_share_is_uniform_whatever_the_secret() -> None:
    # 2000 draws into 8 equal bins: 250 each, standard deviation 15; 4.5 of these is 67.
    for secret in (bytes(32), b"\xff" * 32):
        rng, counts = Random(1), [0] * 8
        for _ in range(2000):
            (share,) = split(secret, threshold=3, positions=[2], below=rng.randrange)
            counts[int.from_bytes(share, "big") * 8 // PRIME] += 1
        assert max(abs(count - 250) for count in counts) < 67


def test_shares_by_hand() -> None:
    # The line 7 + 5x at 1 and 3 is 12 and 22; at 0: (3 * 12 - 1 * 22) / 2 = 7.
    shares = split((7).to_bytes(32, "big"), threshold=2, positions=[1, 3], below=lambda n: 5)
    assert [int.from_bytes(share, "big") for share in shares] == [12, 22]
    assert combine({1: shares[0], 3: shares[1]}) == (7).to_bytes(32, "big")


def test_shares_of_different_secrets_are_noticed_unless_by_chance() -> None:
    rng = Random(2)
    one, other = (
        split(bytes([i]) * 32, threshold=2, positions=[1, 2], below=rng.randrange) for i in (1, 2)
    )
    with pytest.raises(CryptoError) as caught:
        combine({1: one[0], 2: other[1]})
    assert caught.value.code == "bad-shares"
