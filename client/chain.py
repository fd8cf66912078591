"""The file of a hash-chained book, such as the ledger: one writer at a time, never overwritten.

A record is on the disk before `append` returns. Beside the file stands an anchor, the number and
digest of its last line: a file that does not hold the anchored line was rolled back or replaced.
Several processes may use one ledger in turn: each first reads what the others have added.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from client.anchors import Anchor, read_anchor, write_anchor
from client.lines import (
    FIRST,
    LEDGER_BOOK,
    VERSION,
    Book,
    Line,
    Record,
    damaged,
    decode,
    digest,
    encode,
    encode_torn,
)
from common.crypto import SigningKey
from common.errors import PrivacyError
from common.files import sync_folder

Clock = Callable[[], float]
"""Seconds since 1970; never goes back."""
_PATIENCE_S = 30.0


class _Head(NamedTuple):
    """The last line that was read: its number, digest, time, and where it begins and ends."""

    seq: int = 0
    digest: str = FIRST
    time: int = 0
    start: int = 0
    end: int = 0


class Chain:
    """The chain of a book in a folder; use `create` or `open`."""

    def __init__(
        self, folder: Path, identity: bytes, clock: Clock, book: Book = LEDGER_BOOK
    ) -> None:
        self._folder, self._identity, self._clock = folder, SigningKey(identity), clock
        self._book = book
        self._head = _Head()
        self._file = -1

    @classmethod
    def create(cls, folder: Path, identity: bytes, clock: Clock, book: Book = LEDGER_BOOK) -> Self:
        """Return a new, empty chain.

        Raises:
            PrivacyError: there is one, or there was one.
        """
        path = folder / book.file
        if path.exists() or read_anchor(folder, book, Anchor()).seq:
            raise PrivacyError(
                f"{book.title} was begun here already",
                where=str(path),
                remedy="go on with it; if it is lost, restore it from a backup",
            )
        write_anchor(folder, book, Anchor())
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(folder)
        return cls(folder, identity, clock, book)

    @classmethod
    def open(
        cls, folder: Path, identity: bytes, clock: Clock, book: Book = LEDGER_BOOK
    ) -> tuple[Self, list[Line]]:
        """Return the chain and all its lines, verified.

        Raises:
            PrivacyError: it is missing, damaged, rolled back or younger than the clock.
        """
        chain = cls(folder, identity, clock, book)
        with chain.locked() as lines:
            chain.require(read_anchor(folder, book), lines)
            write_anchor(folder, book, chain.head)  # a crash may have left it a line behind
        return chain, lines

    @property
    def head(self) -> Anchor:
        """The last line that was read or written."""
        return Anchor(self._head.seq, self._head.digest)

    def where(self, seq: int) -> str:
        """Return the place of a line, for errors."""
        return f"{self._folder / self._book.file}, line {seq}"

    def require(self, anchor: Anchor, lines: list[Line]) -> None:
        """Return if the lines, which are all there are, hold the anchored one.

        Raises:
            PrivacyError: they do not.
        """
        held = {0: FIRST} | {line.seq: line.digest for line in lines}
        if held.get(anchor.seq) != anchor.digest:
            raise damaged("it is not the one that was anchored", self.where(anchor.seq), self._book)

    @contextmanager
    def locked(self) -> Iterator[list[Line]]:
        """Hold the chain for oneself; gives the lines that were added since the last time.

        Raises:
            PrivacyError: the file is missing, cut off or altered; or the clock was set back.
        """
        with self._alone():
            try:
                self._file = os.open(self._folder / self._book.file, os.O_RDWR | os.O_APPEND)
            except FileNotFoundError as error:
                raise PrivacyError(
                    f"{self._book.title} is missing",
                    where=self.where(1),
                    remedy=f"restore it; a hospital's first one is made by `{self._book.maker}`",
                ) from error
            try:
                yield self._catch_up()
            finally:
                os.close(self._file)

    def append(self, kind: str, fields: Record) -> Line:
        """Return the line of a new record, which is on the disk; to be called inside `locked`.

        Raises:
            PrivacyError: the clock was set back.
        """
        record = self._stamped() | {"kind": kind} | fields
        return self._write(encode(record, self._identity, self._book), record)

    def _catch_up(self) -> list[Line]:
        """Return the lines since the last time, after checking that the last one still stands."""
        head = self._head
        size = os.fstat(self._file).st_size
        if size < head.end:
            raise damaged("it ends before this line does", self.where(head.seq), self._book)
        data = os.pread(self._file, size - head.start, head.start)
        known = data[: head.end - head.start]
        if head.seq and digest(known[:-1]) != head.digest:
            raise damaged("this line was altered", self.where(head.seq), self._book)
        *whole, torn = data[len(known) :].split(b"\n")
        lines = [self._read(raw) for raw in whole]
        self._now()
        return [*lines, self._mend(torn)] if torn else lines

    def _read(self, raw: bytes) -> Line:
        seq, where = self._head.seq + 1, self.where(self._head.seq + 1)
        public, previous = self._identity.public, self._head.digest
        line = decode(raw, public, seq=seq, previous=previous, where=where, book=self._book)
        if line.record["time"] < self._head.time:
            raise damaged("it is older than the line before it", where, self._book)
        self._advance(line, len(raw))
        return line

    def _mend(self, torn: bytes) -> Line:
        """Return the line of a record that was cut off by a crash, now ended by one that says so.

        Whoever was writing it may not have gone on; that counts as if it had.
        """
        record = self._stamped() | {"kind": "torn", "torn": digest(torn)}
        return self._write(encode_torn(record, self._identity, torn, self._book), record, torn)

    def _write(self, raw: bytes, record: Record, torn: bytes = b"") -> Line:
        rest = memoryview(raw + b"\n")
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)
        line = Line(record["seq"], digest(torn + raw), record)
        write_anchor(self._folder, self._book, Anchor(line.seq, line.digest))
        self._advance(line, len(torn + raw))
        return line

    def _advance(self, line: Line, size: int) -> None:
        start = self._head.end
        self._head = _Head(line.seq, line.digest, line.record["time"], start, start + size + 1)

    def _stamped(self) -> Record:
        head = self._head
        return {"v": VERSION, "seq": head.seq + 1, "prev": head.digest, "time": self._now()}

    def _now(self) -> int:
        now = int(self._clock())
        if now < self._head.time:
            raise PrivacyError(
                f"the clock stands {self._head.time - now} s before the last record",
                where=self.where(self._head.seq),
                remedy="set the clock right",
            )
        return now

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._folder / f"{self._book.stem}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait(lock, time.monotonic() + _PATIENCE_S)
            yield
        finally:
            os.close(lock)  # which also gives it up

    def _wait(self, lock: int, until: float) -> None:
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise PrivacyError(
                        f"another process keeps {self._book.title} to itself",
                        where=self.where(self._head.seq + 1),
                        remedy="end it, or wait for it",
                    ) from error
            time.sleep(0.01)
