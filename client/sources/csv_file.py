"""A CSV file of one row a patient, read as a stream: memory does not grow with the file.

All entries stay text, as in client/table.py: 007 and 7 are two patients.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from client.cells import EMPTY_CELLS
from client.source_settings import FileSource
from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.files import Utf8Stream, WatchedFile, reason, watched
from client.sources.frames import frames
from client.sources.guard import check_columns, quiet_steps, quietly
from common.errors import SettingsError, TableError

_BLOCK = 1 << 20  # bytes that are parsed at a time, some of them ahead; also the longest row
_ERRORS = (OSError, ValueError, LookupError, pa.ArrowException)
_TORN = re.compile(r"CSV parse error: (?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


class CsvFile:
    """The rows of a CSV file, in its own order."""

    def __init__(self, settings: FileSource, path: Path) -> None:
        self._path = path
        self._encoding = _known_encoding(settings.encoding, where=str(path))
        self._separator = settings.separator
        if not self._separator.isascii() or self._separator in '"\r\n\0':
            raise SettingsError(
                "source.separator cannot separate entries",
                where=str(path),
                remedy='give one character of ASCII, such as "," or ";" or "\\t"',
            )

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self._path)

    def columns(self) -> list[LocalColumn]:
        """Return the names in the header.

        Raises:
            TableError: the file cannot be read, or a column is named twice or not at all.
        """
        return [LocalColumn(name) for name in quietly(self._names, _ERRORS, self._tell)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns, in the order of the file.

        Raises:
            TableError: the file cannot be read to its end as it was when it was opened.
        """
        return quiet_steps(self._chunks(columns, rows), _ERRORS, self._tell)

    def _names(self) -> list[str]:
        with watched(self._path) as file:
            return self._header(file)

    def _header(self, file: WatchedFile) -> list[str]:
        reader = self._reader(file.text(self._encoding))
        return _checked_names(reader.schema.names, where=self.where)

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        with watched(self._path) as file:
            names = self._header(file)
            wanted = check_columns(columns, names, where=self.where)
            text = file.text(self._encoding)
            try:
                batches = (batch.select(wanted) for batch in self._reader(text, names))
                for frame in frames(batches, rows):
                    file.check_unchanged()
                    yield frame
            except _ERRORS:
                file.check_unchanged()  # a row is torn because somebody is writing: say that
                raise
            file.check_unchanged()
        if text.quotes % 2:
            raise TableError(
                "a quote is opened and never closed: rows after it may be lost",
                where=self.where,
                remedy="export the table anew; within an entry a quote is doubled",
            )

    def _reader(self, text: Utf8Stream, names: Sequence[str] = ()) -> Any:
        """Return an open stream; without names only its header is of use."""
        read = csv.ReadOptions(
            block_size=_BLOCK,
            use_threads=False,  # row numbers in errors
            column_names=list(names) or None,
            skip_rows_after_names=1 if names else 0,
        )
        parse = csv.ParseOptions(delimiter=self._separator, newlines_in_values=True)
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(EMPTY_CELLS),
            strings_can_be_null=True,
        )
        return csv.open_csv(pa.PythonFile(text, mode="r"), read, parse, convert)

    def _tell(self, error: Exception) -> TableError:
        if torn := _TORN.match(str(error)):
            row, expected, got = torn.groups()
            place = f"row {int(row) - 1}" if row else "a row"  # the header is not counted
            return TableError(
                f"{place} has {got} of the {expected} entries that the header names",
                where=self.where,
                remedy="export the table anew; an entry that holds a separator stands in quotes",
            )
        return TableError(
            f"the table cannot be read: {reason(error) or 'not valid CSV'}",
            where=self.where,
            remedy="name a .csv file that this user may read, with its encoding and separator",
        )


def _known_encoding(encoding: str, *, where: str) -> str:
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError):
        raise SettingsError(
            "source.encoding is no encoding that there is",
            where=where,
            remedy='use "utf-8-sig" (the default), "latin-1", "cp1252" or "utf-16"',
        ) from None
    return encoding


def _checked_names(names: Sequence[str], *, where: str) -> list[str]:
    """Return the names without spaces around them.

    A header's words are not quoted: without a header, they are the first patient's entries.
    """
    stripped = [name.strip() for name in names]
    remedy = "let the first line name every column once"
    if not all(stripped):
        place = stripped.index("") + 1
        raise TableError(f"column {place} has no name", where=where, remedy=remedy)
    first, count = Counter(stripped).most_common(1)[0]
    if count > 1:
        place = stripped.index(first) + 1
        raise TableError(f"the name of column {place} stands twice", where=where, remedy=remedy)
    return stripped
