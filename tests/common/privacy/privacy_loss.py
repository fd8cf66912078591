"""A second accountant, written from the definition, with a bracket instead of an estimate.

For densities P and Q with monotone L = log P/Q, delta(e) = E_P max(0, 1 - exp(e - L))
(Koskela et al., AISTATS 2020). The law of one release's L is put on a grid, every mass at the grid
point above it (too much epsilon) or below it (too little), and composed by powers of its Fourier
transform. What lies beyond the grid counts as certain loss, or as none.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
STEP, SIZE = 2e-4, 2**18  # losses of -26 to 26


def bracket(
    sigma: float, coin: float, rounds: int, delta: float, *, replace: bool
) -> tuple[float, float]:
    """Return bounds on epsilon from below and above of `rounds` subsampled Gaussian releases.

    Neighbours are means 1 and -1 with probability coin (replace-one), or 1 and 0 (zero-out).
    """
    pairs = [(1.0, -1.0)] if replace else [(1.0, 0.0), (0.0, 1.0)]
    bounds = [
        [one_way(sigma, coin, rounds, delta, pair, up=up) for pair in pairs] for up in (False, True)
    ]
    return max(bounds[0]), max(bounds[1])


def one_way(
    sigma: float, coin: float, rounds: int, delta: float, means: tuple[float, float], *, up: bool
) -> float:
    """Return epsilon of P, with mean means[0], against Q, with mean means[1]."""
    x = np.linspace(-40 * sigma, 40 * sigma, 100_001)
    loss = log_density(x, sigma, coin, means[0]) - log_density(x, sigma, coin, means[1])
    sign = 1 if loss[-1] > loss[0] else -1
    edges = STEP * np.arange(-SIZE // 2, SIZE // 2 + 1, dtype=np.float64)
    # Where the loss passes each edge; beyond the losses that exist there is no mass.
    at = np.interp(edges, loss[::sign], x[::sign])
    below = cumulative(at, sigma, coin, means[0])
    below = below if sign == 1 else 1 - below
    below = np.where(edges < loss.min(), 0, np.where(edges > loss.max(), 1, below))
    mass = np.diff(below)
    points = edges[1:] if up else edges[:-1]
    beyond = 1 - below[-1]
    composed: Floats = np.fft.irfft(np.fft.rfft(mass) ** rounds, SIZE).clip(0)
    # Index i stands for points[0] + i STEP; the sum of `rounds` starts at rounds * points[0].
    shift = round((rounds - 1) * points[0] / STEP)
    composed = np.roll(composed, shift % SIZE)
    lost = 1 - (1 - beyond) ** rounds if up else 0.0
    return solve(points, composed, lost, delta)


def solve(points: Floats, mass: Floats, lost: float, delta: float) -> float:
    """Return the epsilon whose delta is the one given, by bisection."""
    low, high = 0.0, float(points[-1])
    for _ in range(50):
        middle = (low + high) / 2
        gain = -np.expm1(np.minimum(0, middle - points))
        low, high = (middle, high) if lost + mass @ gain > delta else (low, middle)
    return high


def log_density(x: Floats, sigma: float, coin: float, mean: float) -> Floats:
    zero, one = (-((x - m) ** 2) / (2 * sigma**2) for m in (0.0, mean))
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log1p(-coin) + zero, np.log(coin) + one))


def cumulative(x: Floats, sigma: float, coin: float, mean: float) -> Floats:
    return np.asarray((1 - coin) * ndtr(x / sigma) + coin * ndtr((x - mean) / sigma))
