"""Lines of a hash-chained, signed file: JSON, each naming the SHA-256 of the line before it.

A line's signature covers its bytes as they stand, so that nothing depends on how JSON is written.
A line that was cut off by a crash stays as it is; the next record follows it on the same line,
after a record separator (RFC 7464, section 2), and says so: `torn`. So every newline ends a record,
and a line that does not verify was tampered with.
"""

import hashlib
import json
from typing import Any, NamedTuple

from common.crypto import SigningKey, verify
from common.errors import CryptoError, PrivacyError

Record = dict[str, Any]
VERSION = 1
FIRST = "0" * 64
"""What stands for the digest of the line before the first one."""
_SEPARATOR = b"\x1e"
_SIGNATURE, _END = b',"sig":"', b'"}'
_TAIL = len(_SIGNATURE) + 128 + len(_END)


class Book(NamedTuple):
    """A chained file. stem: of its files' names. title: in errors. maker: what begins it."""

    stem: str
    title: str
    maker: str

    @property
    def label(self) -> str:
        """What its signatures are for."""
        return f"wardround/{self.stem}/v1"

    @property
    def file(self) -> str:
        """The name of the file of its lines."""
        return f"{self.stem}.jsonl"

    @property
    def anchor(self) -> str:
        """The name of the file that holds its last line's number and digest."""
        return f"{self.stem}.anchor"


LEDGER_BOOK = Book("ledger", "the ledger", "wardround node budget")
AUDIT_BOOK = Book("audit", "the audit log", "wardround node approve")


class Line(NamedTuple):
    """A verified line. digest: SHA-256 of its bytes without the newline, hex."""

    seq: int
    digest: str
    record: Record


def digest(raw: bytes) -> str:
    """Return the SHA-256 of a raw line, hex."""
    return hashlib.sha256(raw).hexdigest()


def encode(record: Record, identity: SigningKey, book: Book = LEDGER_BOOK) -> bytes:
    """Return the signed line of a record, without newline."""
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return body[:-1] + _SIGNATURE + identity.sign(book.label, body).hex().encode() + _END


def encode_torn(
    record: Record, identity: SigningKey, torn: bytes, book: Book = LEDGER_BOOK
) -> bytes:
    """Return what goes behind the bytes of a torn line, to make a whole line of both."""
    return _SEPARATOR + encode(record | {"kind": "torn", "torn": digest(torn)}, identity, book)


def decode(
    raw: bytes,
    public: bytes,
    *,
    seq: int,
    previous: str,
    where: str,
    book: Book = LEDGER_BOOK,
) -> Line:
    """Return the line if it is the one with number `seq` after the line with digest `previous`.

    Raises:
        PrivacyError: it is not, or was altered.
    """
    torn, separator, text = raw.rpartition(_SEPARATOR)
    record = _verified(text, public, where, book)
    whole = record.get("v") == VERSION and isinstance(record.get("time"), int)
    if not whole or (record.get("kind") == "torn") != bool(separator):
        raise damaged("it is no record of this version", where, book)
    if separator and record.get("torn") != digest(torn):
        raise damaged("the bytes of a torn record were altered", where, book)
    if record.get("seq") != seq or record.get("prev") != previous:
        raise damaged("the chain is broken before it", where, book)
    return Line(seq, digest(raw), record)


def damaged(what: str, where: str, book: Book = LEDGER_BOOK) -> PrivacyError:
    """Return the error for a book that cannot be relied upon."""
    return PrivacyError(
        f"{book.title} is damaged: {what}",
        where=where,
        remedy="nothing leaves until it is restored from a copy at least as new as its anchor",
    )


def _verified(text: bytes, public: bytes, where: str, book: Book) -> Record:
    if text[-_TAIL:][: len(_SIGNATURE)] != _SIGNATURE or not text.endswith(_END):
        raise damaged("this line is not signed", where, book)
    body = text[:-_TAIL] + b"}"
    try:
        signature = bytes.fromhex(text[-_TAIL:][len(_SIGNATURE) : -2].decode())
        verify(public, signature, book.label, body)
        record = json.loads(body)
    except (CryptoError, ValueError) as error:
        raise damaged("this line was altered, or another site signed it", where, book) from error
    if not isinstance(record, dict):
        raise damaged("it is no record", where, book)
    return record
