"""Counter-based randomness: every draw is a pure function of its key.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) has no hidden state
to keep in step: whoever holds (site key, round) draws the same episodes, on every engine, in any
order.
"""

import hashlib

import numpy as np


def generator(*key: str | int | bytes) -> np.random.Generator:
    """Return the generator that belongs to `key`; equal keys give equal draws, on every machine.

    Each part is hashed with its type and length, so ("a", "bc") and ("ab", "c") are different keys.
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(key)[:16], "little")))


def derived_key(*key: str | int | bytes) -> bytes:
    """Return 32 bytes that belong to `key`, for use as the first part of other keys."""
    return _digest(key)


def _digest(key: tuple[str | int | bytes, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in key:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return digest.digest()
