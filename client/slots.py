"""Which slot of a study each patient of a hospital occupies: on its disk, for the whole study.

A patient who appears takes a slot that nobody ever had, at random; one who disappears, erased or
moved away, leaves it empty for good. So a change of one patient changes one slot, and a release of
earlier rounds and one of later rounds speak of the same neighbours. Names of patients are not kept,
only keyed hashes of them (BLAKE2b, RFC 7693), in a file for the hospital alone (mode 0600).
"""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import PrivacyError
from common.files import write_atomically

IDLE = -1
"""The slot of a patient for whom none is left: that patient takes no part."""


def assign_slots(
    folder: Path, study: str, patients: Sequence[str], *, slots: int, key: bytes
) -> NDArray[np.int64]:
    """Return the slot of each patient, 0..slots-1 or IDLE; new patients are given theirs.

    study: the study's id. key: the site's own, which nobody else may know.

    Raises:
        PrivacyError: the file is damaged, or was made for another number of slots.
    """
    path = folder / f"slots-{study[:16]}.json"
    taken = _read(path, slots) if path.exists() else {}
    names = [
        hashlib.blake2b(str(p).encode(), key=key, digest_size=16).hexdigest() for p in patients
    ]
    free = sorted(set(range(slots)) - set(taken.values()))
    random.SystemRandom().shuffle(free)
    new = dict(zip((name for name in names if name not in taken), free, strict=False))
    if new:
        taken |= new
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, json.dumps({"slots": slots, "taken": taken}).encode())
    return np.array([taken.get(name, IDLE) for name in names], dtype=np.int64)


def _read(path: Path, slots: int) -> dict[str, int]:
    try:
        held = json.loads(path.read_bytes())
        taken = {str(name): int(slot) for name, slot in held["taken"].items()}
        if held["slots"] != slots or len(set(taken.values())) != len(taken):
            raise ValueError("other slots")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrivacyError(
            "the file of patients' slots is damaged or of another number of slots",
            where=str(path),
            remedy="restore it; with new slots patients would count twice, so agree on a new study",
        ) from error
    return taken
