"""Where the tables of an OMOP CDM lie: CSV files, a zip of them, or a database.

Each kind makes `raw_<table>` in the stage's DuckDB: a view on the file, or a copy of the rows that
are asked for. Nothing that stands in a table gets into SQL.
"""

import csv
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
from sqlalchemy import Connection, column, inspect, select, table

from client.sources.database import Database
from client.sources.duckdb_file import quoted
from client.sources.stage import Stage

Ids = Sequence[int] | Sequence[str]
_IDS = 1000  # that go into one IN (...)
_ROWS = 50_000


class OmopTables(Protocol):
    """The tables of a CDM, whatever they lie in."""

    def load(
        self,
        stage: Stage,
        name: str,
        wanted: Sequence[str],
        *,
        by: str = "",
        ids: Ids = (),
    ) -> set[str]:
        """Make raw_<name> with what there is of the wanted columns, and return which these are.

        by, ids: only rows with these entries in that column are needed. An empty set: there is no
        such table.
        """
        ...


class CsvTables:
    """A folder or zip of CSV files, named as the tables, in whatever case."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(
        self,
        stage: Stage,
        name: str,
        wanted: Sequence[str],
        *,
        by: str = "",
        ids: Ids = (),
    ) -> set[str]:
        """Make a view on the table's file; DuckDB reads it as a stream."""
        if (path := self._file(name, stage.folder)) is None:
            return set()
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
        separator = "\t" if "\t" in line else ","  # vocabularies come with tabs
        header = [
            each.strip().lower() for each in next(csv.reader([line], delimiter=separator), [])
        ]
        view = stage.connection.read_csv(
            str(path),
            sep=separator,
            quotechar='"' if separator == "," else "",
            escapechar='"' if separator == "," else "",
            header=True,
            auto_detect=False,
            columns=dict.fromkeys(header, "VARCHAR"),
        )
        view.create_view(f"raw_{name}")
        return set(header)

    def _file(self, name: str, scratch: Path) -> Path | None:
        if self._path.is_dir():
            files = {p.name.lower(): p for p in sorted(self._path.iterdir())}
            return files.get(f"{name}.csv")
        with zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                inside = PurePosixPath(member.filename)
                if "__MACOSX" in inside.parts or inside.name.lower() != f"{name}.csv":
                    continue
                # The name in the archive is not used as a path: it may lead anywhere.
                with archive.open(member) as packed, (scratch / f"{name}.csv").open("wb") as file:
                    shutil.copyfileobj(packed, file)
                return scratch / f"{name}.csv"
        return None


class DuckdbTables:
    """A DuckDB file, attached read-only."""

    def __init__(self, database: Database, schema: str) -> None:
        self._path, self._schema = database.url.database or "", schema or "main"

    def load(
        self,
        stage: Stage,
        name: str,
        wanted: Sequence[str],
        *,
        by: str = "",
        ids: Ids = (),
    ) -> set[str]:
        """Make a view on the table."""
        path = self._path.replace("'", "''")
        stage.run(f"ATTACH IF NOT EXISTS '{path}' AS cdm (READ_ONLY)")
        found = stage.connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'cdm' "
            "AND lower(schema_name) = lower(?) AND lower(table_name) = ?",
            [self._schema, name],
        ).fetchall()
        if found:
            place = ".".join(map(quoted, ("cdm", self._schema, found[0][0])))
            stage.connection.table(place).create_view(f"raw_{name}")
        return {each.lower() for _, each in found}


class SqlTables:
    """A database of SQLAlchemy: the rows asked for are copied, as text, over one connection."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection, self._schema = connection, schema or None
        inspector = inspect(connection)
        names = inspector.get_table_names(self._schema) + inspector.get_view_names(self._schema)
        self._tables = {each.lower(): each for each in names}

    def load(
        self, stage: Stage, name: str, wanted: Sequence[str], *, by: str = "", ids: Ids = ()
    ) -> set[str]:
        """Copy the table's rows to the stage."""
        if (spelt := self._tables.get(name)) is None:
            return set()
        columns = inspect(self._connection).get_columns(spelt, self._schema)
        there = {each["name"].lower(): each["name"] for each in columns}
        chosen = [each for each in wanted if each in there]
        rows: Any = table(spelt, schema=self._schema)
        query: Any = select(*(column(there[each]) for each in chosen)).select_from(rows)
        queries = [query]
        if by:
            parts = [ids[i : i + _IDS] for i in range(0, len(ids), _IDS)]
            queries = [query.where(column(there[by]).in_(part)) for part in parts]
        schema = pa.schema([(each, pa.string()) for each in chosen])
        stage.connection.from_arrow(schema.empty_table()).create(f"raw_{name}")
        for batch in _batches(self._connection, queries, schema):
            stage.connection.from_arrow(batch).insert_into(f"raw_{name}")
        return set(chosen)


def _batches(connection: Connection, queries: Iterable[Any], schema: Any) -> Iterator[pa.Table]:
    streamed = connection.execution_options(stream_results=True, yield_per=_ROWS)
    for query in queries:
        with streamed.execute(query) as result:
            for part in result.partitions(_ROWS):
                texts = (
                    [None if e is None else str(e) for e in c] for c in zip(*part, strict=True)
                )
                arrays = [pa.array(each, pa.string()) for each in texts]
                yield pa.Table.from_arrays(arrays, schema=schema)
