"""Counter-based randomness: every draw is a pure function of its key.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) has no hidden state
to keep in step: whoever holds (site key, round) draws the same episodes, on every engine, in any
order. `generator` is NumPy's, for all draws but one: `stream` is the same family's Philox4x32-10 as
a compiled function, for the episodes, which thousands of sites draw in every round.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from common.jit import jit

Stream = NDArray[np.uint64]
"""The state of a stream: key [2], counter [4], number of words used, words [4]; 32 bits each."""


def generator(*key: str | int | bytes) -> np.random.Generator:
    """Return the generator that belongs to `key`; equal keys give equal draws, on every machine.

    Each part is hashed with its type and length, so ("a", "bc") and ("ab", "c") are different keys.
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(key)[:16], "little")))


def derived_key(*key: str | int | bytes) -> bytes:
    """Return 32 bytes that belong to `key`, for use as the first part of other keys."""
    return _digest(key)


def release_key(site_key: bytes, round_index: int) -> bytes:
    """Return the key of a virtual site's secret draws in a round: a secret only to the innocent."""
    return derived_key(site_key, "release", round_index)


def stream(*key: str | int | bytes, counter: int = 0) -> Stream:
    """Return the stream of 32-bit words that belongs to `key` and `counter`, 0 to 2^32 - 1."""
    return open_stream(stream_key(*key), counter)


def stream_key(*key: str | int | bytes) -> Stream:
    """Return the key of a family of streams, one for each counter: the hash's first 128 bits."""
    return np.frombuffer(_digest(key)[:16], dtype="<u4").astype(np.uint64)


@jit
def open_stream(words: Stream, counter: int) -> Stream:
    """Return the stream of a family's key at `counter`, at its start."""
    state = np.zeros(11, dtype=np.uint64)
    state[0], state[1], state[4], state[5] = words[0], words[1], words[2], words[3]
    state[3], state[6] = counter, 4
    return state


@jit
def next_word(state: Stream) -> np.uint64:
    """Return the next 32 bits of the stream."""
    if state[6] == np.uint64(4):
        _next_block(state)
        state[6] = np.uint64(0)
    state[6] += np.uint64(1)
    return state[6 + np.int64(state[6])]  # type: ignore[no-any-return]


@jit
def below(state: Stream, n: int) -> int:
    """Return a draw from 0..n-1, uniform up to n / 2^32 (Lemire, ACM TOMACS 29, 2019)."""
    drawn: int = np.int64((next_word(state) * np.uint64(n)) >> np.uint64(32))  # type: ignore[assignment]
    return drawn


@jit
def _next_block(state: Stream) -> None:
    """Set the four words: ten rounds of Philox4x32 (Salmon et al. 2011, section 4.3)."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    k0, k1 = state[0], state[1]
    c0, c1, c2, c3 = state[2], state[3], state[4], state[5]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1 = (p1 >> half) ^ c1 ^ k0, p1 & low
        c2, c3 = (p0 >> half) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    state[7], state[8], state[9], state[10] = c0, c1, c2, c3
    state[2] = (state[2] + np.uint64(1)) & low


def _digest(key: tuple[str | int | bytes, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in key:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return digest.digest()
