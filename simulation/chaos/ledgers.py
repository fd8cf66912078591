"""Whether hospitals' books tell of all that has left: read from copies, by nobody else's clock."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from client.chain import Chain
from client.identity import read_identity
from client.lines import AUDIT_BOOK, LEDGER_BOOK, Book, Line
from common.errors import WardroundError
from common.messages import UPDATE_TYPE
from common.messages.purposes import UPDATES

LATER = 4e9
"""A clock (the year 2096) that stands before no line, whatever a hospital's own clock has said."""
RELEASES = (UPDATE_TYPE, UPDATES.message_type("input"))
Books = dict[str, list[Line]]
Release = tuple[int, str]
"""What a release is for: a round, and the SHA-256 of its theta."""


def read_book(state: Path, book: Book) -> list[Line]:
    """Return the verified lines of a book, none if it was never begun; the book stays untouched.

    Raises:
        PrivacyError: it does not verify.
    """
    if not any((state / name).exists() for name in (book.file, book.anchor)):
        return []
    with TemporaryDirectory(prefix="chaos-book-") as name:
        copy = Path(name)
        for file in (book.anchor, book.file):  # in this order: the file may grow meanwhile
            shutil.copy2(state / file, copy / file)
        return Chain.open(copy, read_identity(state), lambda: LATER, book)[1]


def broken_books(states: Mapping[str, Path]) -> str:
    """Return why a hospital's audit log or ledger does not verify, or nothing."""
    for site, state in states.items():
        try:
            for book in (AUDIT_BOOK, LEDGER_BOOK):
                read_book(state, book)
        except WardroundError as error:
            return f"{site}: {error}"
    return ""


def undercounted(
    debits: Sequence[Line], audit: Sequence[Line], known: Sequence[Release], *, masked: bool
) -> str:
    """Return what a hospital's ledger does not pay for, or nothing.

    debits, audit: what the run has added to both books. known: the releases that the coordinator
    has taken from this hospital. Under masks the same release may leave as other bytes.
    """
    paid = [line.record for line in debits if line.record["kind"] == "gradient"]
    for release in known:
        if release not in {(r["round"], r["theta_sha256"]) for r in paid}:
            return f"no debit for round {release[0]}, which the coordinator has"
    sent: dict[str, set[str]] = {}
    for line in audit:
        record = line.record
        if record["kind"] == "sent" and record.get("message") in RELEASES:
            sent.setdefault(record["run"], set()).add(record["sha256"])
    for run, bytes_sent in sent.items():
        count = sum(r["run"] == run for r in paid)
        if count < (1 if masked else len(bytes_sent)):
            return f"{len(bytes_sent)} releases were sent in run {run}, {count} debited"
    return ""
