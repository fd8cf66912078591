"""Secret keys of a site, each in a file of its own in the site's state folder, mode 0600.

site.key       of its draws where no patient is protected, and of what it hashes
identity.key   the Ed25519 identity that the roster names; signs ledger, approvals and audit log
"""

from pathlib import Path

from common.errors import SettingsError
from common.key_files import make_key, read_key

KEY_FILE, IDENTITY_FILE = "site.key", "identity.key"


def site_key(folder: Path, name: str = KEY_FILE) -> bytes:
    """Return a secret key of the site, made at first use.

    Raises:
        SettingsError: the file can be read by others, or does not hold a key.
    """
    path = folder / name
    make_key(path)
    return read_key(path, "the site's key", SettingsError, remedy="remove it; a new one is made")
