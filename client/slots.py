"""Which slot each patient occupies, for as long as a study lasts.

A study's promise is about slots 0 to n - 1, whose number n the site has declared. A patient has one
slot; one who leaves the table leaves it empty for good, and nobody moves up, or else others would
come into other groups. Whoever finds no slot left is idle.

The map is the hospital's own, on its disk. It holds keyed hashes, which say nothing about patients
without the site's key, and forgets the hash of whoever left.
"""

import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import PrivacyError, TableError
from common.files import write_atomically

IDLE = -1
_VERSION, _LABEL, _HASH_BYTES = 1, b"wardround/slots/v1", 16
Slots = NDArray[np.int64]


class Bytes(Protocol):
    """Secret random bytes, such as a `common.crypto.ByteStream` on a fresh key."""

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""


class SlotMap(NamedTuple):
    """Who sits where: slot by patient's hash, and the slots that someone left."""

    slot: dict[str, int]
    left: frozenset[int] = frozenset()


def take_slots(
    folder: Path, key: bytes, study: str, patients: Sequence[str], *, slots: int, random: Bytes
) -> Slots:
    """Return the slot of each row's patient, or IDLE [rows]; the map is on the disk by then.

    key: the site's secret key. study: its id. slots: the declared number. random: where newcomers
    sit is drawn from it.

    Raises:
        TableError: a patient has two rows.
        PrivacyError: the map is damaged, readable by others, or for another number of slots.
    """
    names = [_hash(key, study, patient) for patient in patients]
    if len(set(names)) < len(names):
        raise TableError(
            "a patient has two rows", where="patient table", remedy="give one row a patient"
        )
    path = folder / f"slots-{study[:32]}.json"
    before = _read(path, slots) if path.exists() else SlotMap({})
    after = seated(before, names, slots, random)
    if after != before:
        _write(path, after, slots)
    return np.array([after.slot.get(name, IDLE) for name in names], dtype=np.int64)


def seated(before: SlotMap, names: Sequence[str], slots: int, random: Bytes) -> SlotMap:
    """Return the map once patients `names` are all that are there.

    Newcomers, in random order, take random slots that nobody ever had.
    """
    present = set(names)
    stay = {name: slot for name, slot in before.slot.items() if name in present}
    left = before.left | {slot for name, slot in before.slot.items() if name not in present}
    used = np.fromiter((*stay.values(), *left), dtype=np.int64)
    free = _shuffled(np.setdiff1d(np.arange(slots), used), random)
    newcomers = np.array([name for name in names if name not in stay], dtype=object)
    order = _shuffled(np.arange(len(newcomers)), random)
    fresh = zip(newcomers[order].tolist(), free.tolist(), strict=False)
    return SlotMap(stay | dict(fresh), left)


def _shuffled(values: Slots, random: Bytes) -> Slots:
    """Return values in random order: that of 64 random bits each."""
    bits = np.frombuffer(random.take(8 * len(values)), dtype="<u8")
    return values[np.argsort(bits, kind="stable")]


def _hash(key: bytes, study: str, patient: str) -> str:
    message = b"\0".join((_LABEL, study.encode(), patient.encode()))
    return hmac.digest(key, message, "sha256")[:_HASH_BYTES].hex()


def _write(path: Path, after: SlotMap, slots: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    about = {"v": _VERSION, "slots": slots, "slot": after.slot, "left": sorted(after.left)}
    write_atomically(path, json.dumps(about).encode())  # of mode 0600


def _read(path: Path, slots: int) -> SlotMap:
    if path.stat().st_mode & 0o077:
        raise PrivacyError(
            "the map of slots can be read by others", where=str(path), remedy=f"chmod 600 {path}"
        )
    try:
        about = json.loads(path.read_bytes())
        found = SlotMap(dict(about["slot"]), frozenset(about["left"]))
        known = (about["v"], about["slots"]) == (_VERSION, slots)
        taken = [*found.slot.values(), *found.left]
        whole = len(set(taken)) == len(taken) and set(map(type, taken)) <= {int}
        sound = known and whole and all(0 <= slot < slots for slot in taken)
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise PrivacyError(
            f"the map is damaged, or not one of {slots} slots",
            where=str(path),
            remedy="restore it; the declared number never changes within a study",
        )
    return found
