"""Secret keys of a site, each in a file of its own in the site's state folder, mode 0600.

site.key       of its draws where no patient is protected, and of what it hashes
identity.key   the Ed25519 identity that the roster names and that signs the ledger
"""

import os
from pathlib import Path

from common.errors import SettingsError, WardroundError

KEY_FILE, IDENTITY_FILE, KEY_BYTES = "site.key", "identity.key", 32


def site_key(folder: Path, name: str = KEY_FILE) -> bytes:
    """Return a secret key of the site, made by the operating system's generator at first use.

    Raises:
        SettingsError: the file can be read by others, or does not hold a key.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    return read_key(path, "the site's key", SettingsError, remedy="remove it; a new one is made")


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
