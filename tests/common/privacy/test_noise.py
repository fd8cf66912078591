import torch

from common.privacy.noise import gaussian
from common.randomness import generator


def test_noise_has_the_standard_deviation_asked_for() -> None:
    # The standard deviation of 100,000 draws has standard error std / sqrt(2 n) = .0067.
    noise = gaussian(generator("noise"), 100_000, std=3.0)
    assert abs(float(noise.std()) - 3.0) < 5 * 0.0067
    assert abs(float(noise.mean())) < 5 * 3.0 / 100_000**0.5
    assert noise.dtype == torch.float32


def test_another_key_gives_other_noise() -> None:
    one, other = (gaussian(generator("noise", i), 5, std=1.0) for i in (1, 2))
    assert not torch.equal(one, other)
