"""A table or a SELECT of a DuckDB file, opened read-only and cut off from other files."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from client.source_settings import SqlSource
from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.database import Database
from client.sources.frames import frames
from client.sources.guard import check_columns, quiet_steps, quietly
from client.sources.scratch import confine, scratch
from client.sources.sql import table_or_query
from common.errors import TableError

ERRORS = (duckdb.Error, OSError, ValueError, LookupError)
_TORN = re.compile(r"Invalid Input Error: CSV Error on Line: (\d+)")
_ENTRY = "an entry is not of the type that it should be"
_WHY = (
    (duckdb.CatalogException, "there is no such table"),
    (duckdb.BinderException, "there is no such column"),
    (duckdb.ParserException, "this is no SQL"),
    (duckdb.PermissionException, "only reading this one file is allowed"),
    (duckdb.IOException, "it is damaged, no longer there, or locked by another program"),
    (duckdb.OutOfMemoryException, "memory and disk do not suffice"),
)


class DuckdbRows:
    """The rows of a table or query, in the order of all columns (see client.sources.sql)."""

    def __init__(self, settings: SqlSource, database: Database, folder: Path) -> None:
        self._folder, self._database = folder, database
        name, query = table_or_query(settings)
        self._rows = ".".join(map(quoted, name.split("."))) if name else f"({query}\n)"

    @property
    def where(self) -> str:
        """The url."""
        return self._database.where

    def columns(self) -> list[LocalColumn]:
        """Return the columns of the table or query.

        Raises:
            TableError: the file cannot be read or has no such table.
        """
        return [LocalColumn(name) for name in quietly(self._names, ERRORS, self._tell)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns.

        Raises:
            TableError: the file cannot be read to its end.
        """
        return quiet_steps(self._chunks(columns, rows), ERRORS, self._tell)

    def _names(self) -> list[str]:
        with self._connection() as connection:
            return self._columns(connection)

    def _columns(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        return connection.sql(f"FROM {self._rows} LIMIT 0").columns

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        with self._connection() as connection:
            there = self._columns(connection)
            wanted = check_columns(columns, there, where=self.where)
            names, order = (", ".join(map(quoted, each)) for each in (wanted, there))
            # Names of columns are quoted; nothing of a patient's is in this text.
            statement = f"SELECT {names} FROM {self._rows} ORDER BY {order}"  # noqa: S608
            yield from frames(connection.sql(statement).to_arrow_reader(rows), rows)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        path = self._database.url.database or ""
        with (
            scratch(self._folder) as spill,
            duckdb.connect(path, read_only=True) as connection,
        ):
            yield confine(connection, spill, files=False)

    def _tell(self, error: Exception) -> TableError:
        return duckdb_failure(error, self.where)


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def duckdb_failure(error: Exception, where: str, *, what: str = "the database") -> TableError:
    """Return what went wrong in fixed words: DuckDB's message may quote an entry."""
    why = next((words for kind, words in _WHY if isinstance(error, kind)), _ENTRY)
    if isinstance(error, duckdb.IOException) and "lock" in str(error):
        why = "another program has it open for writing"
    if isinstance(error, OSError):
        why = error.strerror or "it cannot be opened"
    if torn := _TORN.match(str(error)):
        why = f"line {torn[1]} is torn, or not UTF-8"
    return TableError(
        f"{what} cannot be read: {why}",
        where=where,
        remedy="check path, table and columns in site.toml, and who else has the file open",
    )
