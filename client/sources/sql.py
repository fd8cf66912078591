"""A table or a SELECT of a database, through SQLAlchemy, as a stream.

The order is that of the table's primary key; without one, of all columns from the first to the
last. Rows that tie in all of them are equal, so their order does not show. The columns that a
reading asks for have no part in it: every reading meets the patients in the same order.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import (
    Connection,
    FromClause,
    TextClause,
    column,
    inspect,
    select,
    table,
    text,
)

from client.source_settings import SqlSource
from client.sources.base import CHUNK_ROWS, LocalColumn
from client.sources.database import Database
from client.sources.guard import check_columns, quiet_steps, quietly
from client.sources.query import one_select
from client.sources.read_only import ERRORS, database_failure, read_only
from common.errors import SettingsError, TableError


class Relation(NamedTuple):
    """Rows of a database. order: the names of the columns that order them."""

    rows: FromClause | TextClause
    names: list[str]
    order: list[str]


class SqlRows:
    """The rows of a table or query; each reading is one read-only transaction."""

    def __init__(self, settings: SqlSource, database: Database) -> None:
        self._database = database
        self._table, self._query = table_or_query(settings)

    @property
    def where(self) -> str:
        """The url, which holds no password."""
        return self._database.where

    def columns(self) -> list[LocalColumn]:
        """Return the columns of the table or query.

        Raises:
            TableError: the database cannot be read or has no such table.
            SettingsError: the driver is not installed.
        """
        return [LocalColumn(name) for name in quietly(self._names, ERRORS, self._tell)]

    def chunks(self, columns: Sequence[str], *, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows in these columns; entries are as the driver gives them.

        Raises:
            TableError: the database cannot be read to the end.
            SettingsError: the driver is not installed.
        """
        return quiet_steps(self._chunks(columns, rows), ERRORS, self._tell)

    def _names(self) -> list[str]:
        with read_only(self._database) as connection:
            return self._relation(connection).names

    def _chunks(self, columns: Sequence[str], rows: int) -> Generator[pd.DataFrame, None, None]:
        with read_only(self._database) as connection:
            relation = self._relation(connection)
            wanted = check_columns(columns, relation.names, where=self.where)
            statement: Any = (
                select(*map(column, wanted))
                .select_from(relation.rows)
                .order_by(*map(column, relation.order))
            )
            streamed = connection.execution_options(stream_results=True, yield_per=rows)
            with streamed.execute(statement) as result:
                for part in result.partitions(rows):
                    # As objects: a chunk with a missing entry would else turn patient 7 into 7.0.
                    yield pd.DataFrame(list(map(tuple, part)), columns=wanted, dtype=object)

    def _relation(self, connection: Connection) -> Relation:
        if self._table:
            return table_relation(connection, self._table)
        # A colon before a word would be taken for a parameter.
        rows = text("(" + re.sub(r":(?=\w)", r"\\:", self._query) + "\n) patients")
        empty = select(text("*")).select_from(rows).where(text("1 = 0"))
        names = list(connection.execute(empty).keys())
        if len(set(names)) < len(names):
            raise TableError(
                "two columns of the query have one name",
                where=self.where,
                remedy="name them apart with AS",
            )
        return Relation(rows, names, names)

    def _tell(self, error: Exception) -> TableError:
        return database_failure(error, self.where)


def table_or_query(settings: SqlSource) -> tuple[str, str]:
    """Return the table and the query, one of them empty.

    Raises:
        SettingsError: there are both or none, or the query is not one SELECT.
    """
    if bool(settings.table) == bool(settings.query):
        raise SettingsError(
            "source needs either table or query",
            where="site.toml",
            remedy='give one of them, such as table = "ward.patients"',
        )
    return settings.table, one_select(settings.query) if settings.query else ""


def table_relation(connection: Connection, name: str) -> Relation:
    """Return a table or view, named with its schema or without.

    Raises:
        NoSuchTableError: there is none.
    """
    inspector = inspect(connection)
    schema, _, bare = name.rpartition(".")
    names = [each["name"] for each in inspector.get_columns(bare, schema=schema or None)]
    key = inspector.get_pk_constraint(bare, schema=schema or None)["constrained_columns"]
    rows = table(bare, *map(column, names), schema=schema or None)
    return Relation(rows, names, key or names)
