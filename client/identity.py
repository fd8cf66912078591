"""The hospital's identity: the private key that signs its ledger and its audit log."""

from pathlib import Path

from client.lines import AUDIT_BOOK, LEDGER_BOOK
from client.site_keys import IDENTITY_FILE as IDENTITY
from common.errors import PrivacyError
from common.key_files import make_key, read_key


def read_identity(folder: Path) -> bytes:
    """Return the private key in a site's state folder.

    Raises:
        PrivacyError: there is none, it can be read by others, or it is damaged.
    """
    path = folder / IDENTITY
    if not path.exists():
        raise PrivacyError(
            "the site has no identity here",
            where=str(path),
            remedy="name the node's state folder; --open makes an identity with a first ledger",
        )
    return read_key(path, "the identity", PrivacyError, remedy="restore it from a backup")


def make_identity(folder: Path) -> bytes:
    """Return the private key in a state folder, made there unless it exists.

    Raises:
        PrivacyError: it is gone, and the ledger that it signed is not; or as `read_identity`.
    """
    path = folder / IDENTITY
    if path.exists():
        return read_identity(folder)
    for book in (LEDGER_BOOK, AUDIT_BOOK):
        if any((folder / name).exists() for name in (book.file, book.anchor)):
            raise PrivacyError(
                f"the identity that signed {book.title} is missing",
                where=str(path),
                remedy="restore it from a backup; another one could not go on with it",
            )
    make_key(path)
    return read_identity(folder)
