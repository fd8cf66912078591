import numpy as np
import pytest
from scipy import stats

from common.crypto import ByteStream
from common.privacy.noise import gaussian, uniforms
from common.randomness import derived_key


def stream(*key: str | int) -> ByteStream:
    return ByteStream(derived_key("noise", *key))


def test_noise_is_normal_with_the_standard_deviation_asked_for() -> None:
    noise = gaussian(stream(), 100_001, std=3.0)
    assert noise.shape == (100_001,)
    assert stats.kstest(noise / 3.0, "norm").pvalue > 1e-3


@pytest.mark.parametrize("wrong", [0.98, 1.02])
def test_the_test_above_would_notice_two_percent(wrong: float) -> None:
    noise = wrong * gaussian(stream(), 100_001, std=1.0)
    chi2 = float((noise**2).sum())
    assert not stats.chi2.ppf(1e-4, 100_001) < chi2 < stats.chi2.ppf(1 - 1e-4, 100_001)


def test_both_halves_of_a_pair_are_independent() -> None:
    first, second = np.split(gaussian(stream(), 100_000, std=1.0), 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(50_000)
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 5 / np.sqrt(50_000)


def test_another_key_gives_other_noise_and_the_same_key_the_same() -> None:
    one, again, other = (gaussian(stream(i), 100, std=1.0) for i in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.isin(one, other).any()


def test_a_stream_never_repeats_itself() -> None:
    secret = stream()
    assert not np.isin(gaussian(secret, 100, std=1.0), gaussian(secret, 100, std=1.0)).any()


def test_uniforms_stay_away_from_zero() -> None:
    class Zeros(ByteStream):
        def take(self, count: int) -> bytes:
            return bytes(count)

    assert uniforms(Zeros(bytes(32)), 3).min() == 2.0**-53
