"""The anchor of a chained book: the number and digest of its last line, in a file beside it."""

import json
from pathlib import Path
from typing import NamedTuple

from client.lines import FIRST, Book, damaged
from common.files import write_atomically


class Anchor(NamedTuple):
    """A line that a book must hold: 0 and FIRST before there is any."""

    seq: int = 0
    digest: str = FIRST


def read_anchor(folder: Path, book: Book, default: Anchor | None = None) -> Anchor:
    """Return the anchor, or `default` where there is no file.

    Raises:
        PrivacyError: it is missing without a default, or unreadable.
    """
    path = folder / book.anchor
    if default is not None and not path.exists():
        return default
    try:
        found = json.loads(path.read_bytes())
        return Anchor(int(found["seq"]), str(found["digest"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged("its anchor is missing or unreadable", str(path), book) from error


def write_anchor(folder: Path, book: Book, anchor: Anchor) -> None:
    """Replace the anchor; it is on the disk when this returns."""
    write_atomically(folder / book.anchor, json.dumps(anchor._asdict()).encode())
