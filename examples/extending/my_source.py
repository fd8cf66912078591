"""A new kind of source at a hospital: a file of JSON lines, one object a patient."""

import json
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.guard import check_columns, quiet_steps, quietly
from common.errors import TableError

ERRORS = (OSError, ValueError, AttributeError)


class JsonLines:
    """The rows of a file, in its own order; the first object names the columns."""

    def __init__(self, path: Path) -> None:
        self._path, self._row = path, 1

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self._path)

    def columns(self) -> list[LocalColumn]:
        """Return the names in the first object."""
        return [LocalColumn(name) for name in quietly(self._names, ERRORS, self._tell)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns, never more than a chunk of them."""
        return quiet_steps(self._chunks(columns, rows), ERRORS, self._tell)

    def _names(self) -> list[str]:
        self._row = 1
        with self._path.open(encoding="utf-8") as file:
            return list(json.loads(file.readline()).keys())

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        wanted = check_columns(columns, self._names(), where=self.where)
        with self._path.open(encoding="utf-8") as file:
            for start in range(1, 2**62, rows):
                found = []
                for self._row, line in enumerate(islice(file, rows), start):
                    entries = json.loads(line)
                    found.append([entries.get(name) for name in wanted])
                if not found:
                    return
                yield pd.DataFrame(found, columns=wanted)

    def _tell(self, error: Exception) -> TableError:
        """Return the error in our own words: a parser's could quote a patient's entry."""
        del error
        what = f"row {self._row} is no JSON object"
        return TableError(what, where=self.where, remedy="export the file anew, an object a line")
