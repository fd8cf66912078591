"""A file that patients are read from: opened once, watched for changes while it is read."""

import codecs
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from common.errors import TableError

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class WatchedFile:
    """A regular file that is open for reading. stamp: what it was when it was opened."""

    path: Path
    raw: BinaryIO
    stamp: Stamp

    def text(self, encoding: str) -> "Utf8Stream":
        """Return the file's text from its beginning, as bytes of UTF-8."""
        self.raw.seek(0)
        return Utf8Stream(self, encoding)

    def check_unchanged(self) -> None:
        """Refuse a file that was written to, replaced or removed since it was opened.

        Raises:
            TableError: it was.
        """
        try:
            now = {_stamp(os.fstat(self.raw.fileno())), _stamp(self.path.stat())}
        except OSError:
            now = set()
        if now != {self.stamp}:
            raise TableError(
                "the file changed while it was read",
                where=str(self.path),
                remedy="read it again when its export is done; give each export a name of its own",
            )


class Utf8Stream(io.RawIOBase):
    """A file's text as UTF-8, whatever its encoding. quotes: how many `"` were read so far."""

    def __init__(self, file: WatchedFile, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""
        self._lines = 1
        self.quotes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, and return how many bytes it got.

        Raises:
            TableError: the text is not of this encoding or holds a NUL.
        """
        while not self._rest:
            block = self._file.raw.read(len(buffer))
            self._rest = self._text(block).encode()
            if not block and not self._rest:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def _text(self, block: bytes) -> str:
        failure = ""
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line = self._lines + error.object[: error.start].count(b"\n")
            failure = f"is not {self._encoding} (line {line})"
        else:
            if "\0" in text:
                line = self._lines + text.partition("\0")[0].count("\n")
                failure = f"holds a NUL byte (line {line})"
        if failure:  # raised out of the handler: a decoder's error holds the undecoded bytes
            raise TableError(
                f"the table {failure}",
                where=str(self._file.path),
                remedy="give the right `encoding` in site.toml, or export the file anew",
            )
        self._lines += text.count("\n")
        self.quotes += text.count('"')
        return text


@contextmanager
def watched(path: Path) -> Iterator[WatchedFile]:
    """Open a regular file for reading.

    Raises:
        OSError: there is none, or it is not ours to read.
        TableError: the path is a folder, a pipe or a device.
    """
    # A pipe would block before anybody could refuse it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as raw:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TableError("this is no file", where=str(path), remedy="name a regular file")
        yield WatchedFile(path, raw, _stamp(status))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def reason(error: Exception) -> str:
    """Return why the operating system refused, in its own words, which quote nothing."""
    return str(getattr(error, "strerror", None) or "")
