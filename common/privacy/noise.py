"""Gaussian noise from a secret stream of bytes.

Dwork, Roth, "The Algorithmic Foundations of Differential Privacy", 2014, appendix A. Normal draws
by Box, Muller, "A Note on the Generation of Random Normal Deviates", 1958.

Whoever knows the stream's key can take the noise off again: a hospital's is made by the operating
system's generator and forgotten, a simulation's derives from its seed and protects nobody.
"""

import numpy as np
from numpy.typing import NDArray

from common.crypto import ByteStream

RESOLUTION = 53
"""Bits of a uniform draw: those of a float64's fraction."""


def gaussian(stream: ByteStream, dim: int, *, std: float) -> NDArray[np.float64]:
    """Return noise [dim], float64, of standard deviation `std`."""
    pairs = (dim + 1) // 2
    radius = std * np.sqrt(-2 * np.log(uniforms(stream, pairs)))
    angle = 2 * np.pi * uniforms(stream, pairs)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:dim]


def uniforms(stream: ByteStream, count: int) -> NDArray[np.float64]:
    """Return draws [count] from (0, 1]: never 0, of which there is no logarithm."""
    words = np.frombuffer(stream.take(8 * count), dtype="<u8") >> np.uint64(64 - RESOLUTION)
    drawn: NDArray[np.float64] = (words.astype(np.float64) + 1) * 2.0**-RESOLUTION
    return drawn
