"""Files of one secret key each, 32 bytes of the operating system's generator, mode 0600."""

import os
from pathlib import Path

from common.errors import WardroundError
from common.files import sync_folder

KEY_BYTES = 32


def make_key(path: Path) -> None:
    """Make a key file, unless there is one, and its folder; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def read_key(path: Path, what: str, error: type[WardroundError], *, remedy: str) -> bytes:
    """Return the key in a file; what: its name in errors. remedy: for a file that holds none.

    Raises:
        error: the file can be read by others, or does not hold a key.
    """
    if path.stat().st_mode & 0o077:
        raise error(f"{what} can be read by others", where=str(path), remedy=f"chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise error(f"{what} is damaged", where=str(path), remedy=remedy)
    return key
