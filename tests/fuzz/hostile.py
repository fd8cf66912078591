"""Bytes as somebody sends them who wants to do harm: anything, changed valid ones, and bombs."""

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

BOMBS = (
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"a = " + b"[" * 100_000,
    b"9" * 100_000,
    b'"' + b"\\ud800" * 1000 + b'"',
    b"1e999",
    b"A" * 1_000_000,
)
"""Deep, long, huge, and text that is none; each decoder is given them all."""
LEAVES: tuple[Any, ...] = (
    None, True, -1, 0, 2**53, 2**64, 10**400, 1e308, float("nan"), "", "\x00", "ß\n\u202e",
    "a" * 5000, "0" * 64, [], {}, [[]], {"a": {}},
)  # fmt: skip


def tries(number: int) -> settings:
    """Return how a test is tried: so often, always alike, or FUZZ times, of other draws."""
    many = int(os.environ.get("FUZZ", "0"))
    return settings(
        max_examples=many or number,
        derandomize=not many,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def changed(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return bytes that are nearly these: some cut out, put in, doubled or flipped."""
    found = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(found)))
        end = draw(st.integers(start, min(start + 40, len(found))))
        put = draw(st.binary(max_size=8) | st.sampled_from([b"", bytes(found[start:end]) * 2]))
        found[start:end] = put
    return bytes(found)


@st.composite
def reworded(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return JSON like this, canonical as ours is, with one value or key in another's place."""
    whole = json.loads(valid)
    part = whole
    while isinstance(part, dict | list) and part:
        keys = sorted(part) if isinstance(part, dict) else list(range(len(part)))
        key = draw(st.sampled_from(keys))
        inside = part[key]
        if not isinstance(inside, dict | list) or not inside or draw(st.booleans()):
            part[key] = draw(st.sampled_from(LEAVES))
            break
        part = inside
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hostile(valid: bytes) -> st.SearchStrategy[bytes]:
    """Return the bytes to try where these are valid."""
    ways = [st.binary(max_size=200), changed(valid)]
    if valid[:1] == b"{":
        ways.append(reworded(valid))
    return st.one_of(ways)
