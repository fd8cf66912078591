"""A Parquet file of one row a patient, read in batches out of its row groups."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.files import reason, watched
from client.sources.frames import frames
from client.sources.guard import check_columns, quiet_steps, quietly
from common.errors import TableError

_ERRORS = (OSError, ValueError, LookupError, pa.ArrowException)


class ParquetFile:
    """The rows of a Parquet file, in its own order."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self._path)

    def columns(self) -> list[LocalColumn]:
        """Return the columns of the file's schema.

        Raises:
            TableError: the file cannot be read, or names a column twice.
        """
        return [LocalColumn(name) for name in quietly(self._names, _ERRORS, self._tell)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns, in the order of the file.

        Raises:
            TableError: the file cannot be read to its end as it was when it was opened.
        """
        return quiet_steps(self._chunks(columns, rows), _ERRORS, self._tell)

    def _names(self) -> list[str]:
        with watched(self._path) as file, parquet.ParquetFile(file.raw) as table:
            return self._checked(table.schema_arrow.names)

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        with watched(self._path) as file, parquet.ParquetFile(file.raw, pre_buffer=False) as table:
            there = self._checked(table.schema_arrow.names)
            wanted = check_columns(columns, there, where=self.where)
            batches = table.iter_batches(batch_size=rows, columns=wanted, use_threads=False)
            for frame in frames((batch.select(wanted) for batch in batches), rows):
                file.check_unchanged()
                yield frame
            file.check_unchanged()

    def _checked(self, names: list[str]) -> list[str]:
        name, count = Counter(names).most_common(1)[0] if names else ("", 0)
        if count != 1:
            raise TableError(
                f"the column {name} stands twice" if count else "the table has no columns",
                where=self.where,
                remedy="name every column once",
            )
        return names

    def _tell(self, error: Exception) -> TableError:
        return TableError(
            f"the table cannot be read: {reason(error) or 'not valid Parquet'}",
            where=self.where,
            remedy="name a .parquet file that this user may read, written to its end",
        )
