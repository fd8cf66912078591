"""Releases that were paid for, kept so that a message asked for twice is answered with the same.

A release is stored before it is sent. Asked again in the same round for the same theta, the site
sends the very same vector, which tells nothing new and costs nothing. Once other sites' shares have
opened a sum that holds it, it is `revealed`: the same vector in a second sum, over other sites,
would lie open in the difference. What then follows is a new release with a debit of its own.

The vectors hold noise already; the files are readable by the site's own account only.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import PrivacyError
from common.files import write_atomically

Vector = NDArray[Any]
_VERSION = 1
_DTYPES = ("<i8", "<u8", "<f4", "<f8")


class Key(NamedTuple):
    """What a release was made for: a round of a run, and the SHA-256 of its theta."""

    run: str
    round_index: int
    theta_sha256: str


class Stored(NamedTuple):
    """A release on the disk. debit: the ledger's line that paid for it."""

    key: Key
    vector: Vector
    debit: int
    revealed: bool


def keep(folder: Path, key: Key, vector: Vector, *, debit: int) -> None:
    """Store a release, before it is sent; returns when it is on the disk.

    Raises:
        PrivacyError: the round has one that may still be sent, or had another theta, or the debit
            has paid for the earlier one.
    """
    earlier = find(folder, key)
    if earlier and not earlier.revealed:
        raise _refusal(key, "it has a release already", "send that one again")
    if earlier and debit <= earlier.debit:
        raise _refusal(key, f"line {debit} of the ledger paid for another", "debit a new one")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder, Stored(key, vector, debit, revealed=False))


def resend(folder: Path, key: Key) -> Vector | None:
    """Return the vector that was made for this round and theta, or None: it is yet to be made.

    Raises:
        PrivacyError: it was revealed, or the round had another theta, or the file is damaged.
    """
    found = find(folder, key)
    if found and found.revealed:
        raise _refusal(key, "its release was revealed", "make a new one, with a debit of its own")
    return found.vector if found else None


def reveal(folder: Path, key: Key) -> None:
    """Mark a release as revealed, before whatever reveals it is sent; it is never sent again.

    Raises:
        PrivacyError: there is none, or the round had another theta, or the file is damaged.
    """
    found = find(folder, key)
    if found is None:
        raise _refusal(key, "it has no release", "start the round again")
    if not found.revealed:
        _write(folder, found._replace(revealed=True))


def find(folder: Path, key: Key) -> Stored | None:
    """Return the release of a round, revealed or not, or None.

    Raises:
        PrivacyError: it was made for another theta, or the file is damaged.
    """
    path = _path(folder, key)
    if not path.exists():
        return None
    found = _read(path)
    if found.key != key:
        raise _refusal(key, "it had another theta", "ask the coordinator: a round has one theta")
    return found


def forget_before(folder: Path, run: str, round_index: int) -> int:
    """Remove a run's releases of earlier rounds and return their number.

    Should one of those rounds be asked for again, it is a new release with a new debit.
    """
    first = _path(folder, Key(run, round_index, "")).name
    prefix = first.partition("-")[0]
    old = [path for path in folder.glob(f"{prefix}-*.release") if path.name < first]
    for path in old:
        path.unlink()
    return len(old)


def _path(folder: Path, key: Key) -> Path:
    return folder / f"{hashlib.sha256(key.run.encode()).hexdigest()}-{key.round_index:010d}.release"


def _write(folder: Path, stored: Stored) -> None:
    dtype = stored.vector.dtype.newbyteorder("<").str
    if dtype not in _DTYPES or stored.vector.ndim != 1:
        raise TypeError(f"a release is a vector of one of {_DTYPES}")
    data = stored.vector.astype(dtype).tobytes()
    about = {
        "v": _VERSION,
        "key": list(stored.key),
        "debit": stored.debit,
        "revealed": stored.revealed,
        "dtype": dtype,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    write_atomically(_path(folder, stored.key), json.dumps(about).encode() + b"\n" + data)


def _read(path: Path) -> Stored:
    head, _, data = path.read_bytes().partition(b"\n")
    try:
        about = json.loads(head)
        if about["v"] != _VERSION or about["dtype"] not in _DTYPES:
            raise ValueError("another version")
        if about["sha256"] != hashlib.sha256(data).hexdigest():
            raise ValueError("altered")
        vector = np.frombuffer(data, dtype=about["dtype"]).copy()
        return Stored(Key(*about["key"]), vector, int(about["debit"]), bool(about["revealed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PrivacyError(
            "a stored release is damaged",
            where=str(path),
            remedy="remove it; a new one is made, with a debit of its own",
        ) from error


def _refusal(key: Key, what: str, remedy: str) -> PrivacyError:
    return PrivacyError(what, where=f"round {key.round_index} of run {key.run}", remedy=remedy)
