"""The patient-level Gaussian mechanism: clipped group updates and noise, summed as integers.

Lowy, Razaviyayn, "Private Federated Learning Without a Trusted Server: Optimal Algorithms for
Convex Losses", ICLR 2023, arXiv 2106.09779: inter-silo record-level privacy (ISRL-DP); each site's
messages are private by themselves, whatever the server and the other sites do.

Group updates and noise are rounded to integers in units of 2^-32 and added in the ring of integers,
so that the low bits of floating-point sums tell nothing (Mironov, "On Significance of the Least
Significant Bits for Differential Privacy", CCS 2012). What follows is post-processing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.crypto import ByteStream
from common.errors import PrivacyError
from common.privacy.noise import gaussian

Units = NDArray[np.int64]
UNIT = 2.0**-32
MARGIN = 1 - 1e-6
"""Clipping leaves so much room for rounding, which must not take a norm beyond the bound."""


def on_grid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values rounded to the grid of units: sums of them up to 2^21 are exact."""
    rounded: NDArray[np.float64] = np.rint(values / UNIT) * UNIT
    return rounded


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """clip_norm C: the norm of one group's update. noise_multiplier: the noise's std in C."""

    clip_norm: float
    noise_multiplier: float

    def bounded(self, updates: NDArray[np.floating]) -> Units:
        """Return the groups' updates [g, d], clipped row by row, in units.

        A row is clipped once, over all its entries (Abadi et al. 2016, Algorithm 1). One that is
        not finite counts as zero: to refuse it would tell something of its patients.

        Raises:
            PrivacyError: rounding took a row beyond the bound, which no setting within its range
                can do.
        """
        rows = np.array(updates, dtype=np.float64)
        rows[~np.isfinite(rows).all(axis=1)] = 0
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        bound = self.clip_norm * MARGIN
        units: Units = np.rint(rows * (bound / np.maximum(norms, bound)) / UNIT).astype(np.int64)
        if np.linalg.norm(units * UNIT, axis=1).max(initial=0) > self.clip_norm:
            raise PrivacyError(
                "a group's update is longer than the bound",
                where="clip_norm",
                remedy="take a larger clip_norm; nothing was sent",
            )
        return units

    def noise(self, stream: ByteStream, dim: int) -> Units:
        """Return noise [dim] of standard deviation noise_multiplier C, in units."""
        std = self.noise_multiplier * self.clip_norm
        return np.rint(gaussian(stream, dim, std=std) / UNIT).astype(np.int64)

    def release(
        self, updates: NDArray[np.floating], stream: ByteStream, *, expected: float
    ) -> NDArray[np.float64]:
        """Return the site's update [d]: the noised sum of its groups' [g, d] over q G.

        g may be 0: then the noise alone is released, as in any other round.
        """
        total = self.bounded(updates).sum(axis=0) + self.noise(stream, updates.shape[1])
        released: NDArray[np.float64] = total * (UNIT / expected)
        return released
