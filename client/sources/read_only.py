"""Connections of SQLAlchemy that cannot write, whatever is sent over them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from client.sources.database import Database
from common.errors import SettingsError, TableError

ERRORS = (SQLAlchemyError, sqlite3.Error, OSError, ValueError, LookupError)
_STANDARD = ("mysql", "mariadb", "oracle")  # they know the SQL standard's SET TRANSACTION

_CODES = {
    "25006": "it refused to write, as it should: only reading is allowed",
    "42501": "permission denied",
    "42P01": "there is no such table",
    "42703": "there is no such column",
    "42601": "this is no SQL",
    "42883": "a column of it has no order or function that the query needs",
    "08": "the connection was lost",
    "57": "the database went away",
    "28": "it refused this user or password",
    "3D": "there is no such database",
    "3F": "there is no such schema",
}
_WORDS = {
    "no such table": "there is no such table",
    'near "': "this is no SQL",
    "incomplete input": "this is no SQL",
    "no such column": "there is no such column",
    "unable to open database file": "there is no such file, or it may not be read",
    "database is locked": "somebody else has locked it",
    "attempt to write a readonly": "it refused to write, as it should: only reading is allowed",
    "file is not a database": "this is no SQLite file",
}


@contextmanager
def read_only(database: Database) -> Iterator[Connection]:
    """Open a connection in one read-only transaction, rolled back at the end.

    Raises:
        SettingsError: the driver is not installed, or the database knows no such transaction.
    """
    engine = _engine(database)
    try:
        with engine.connect() as connection:
            if engine.dialect.name in _STANDARD:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection
    finally:
        engine.dispose()


def _engine(database: Database) -> Engine:
    backend = database.url.get_backend_name()
    common: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if backend == "sqlite":
        return create_engine("sqlite://", creator=lambda: _sqlite(database), **common)
    if backend == "postgresql":
        # One snapshot for all statements of a reading.
        common["isolation_level"] = "REPEATABLE READ"
        common["execution_options"] = {"postgresql_readonly": True}
    elif backend not in _STANDARD:
        raise SettingsError(
            f"{backend} has no read-only transaction that this program knows",
            where=database.where,
            remedy="export a .csv or .parquet file, or use PostgreSQL, MySQL, SQLite or DuckDB",
        )
    password = database.password()
    try:
        login = {"password": password} if password else {}
        return create_engine(database.url, connect_args=login, **common)
    except (ImportError, NoSuchModuleError):
        extra = "pip install 'wardround[postgres]', and write postgresql+psycopg://"
        raise SettingsError(
            f"the driver for {database.url.drivername} is not installed",
            where=database.where,
            remedy=extra if backend == "postgresql" else "install it beside wardround",
        ) from None


def _sqlite(database: Database) -> sqlite3.Connection:
    path = Path(database.url.database or "").absolute()
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)


def database_failure(error: Exception, where: str) -> TableError:
    """Return what went wrong in fixed words: a server's message may quote an entry."""
    return TableError(
        f"the database cannot be read: {_why(error)}",
        where=where,
        remedy="check url, table or query in site.toml, the user's right to SELECT, and the server",
    )


def _why(error: Exception) -> str:
    if isinstance(error, NoSuchTableError):
        return "there is no such table"
    if not isinstance(error, DBAPIError):
        return str(getattr(error, "strerror", None) or "an entry or a type is not as expected")
    code = getattr(error.orig, "sqlstate", None) or ""
    said = str(error.orig)
    known = [_CODES.get(code), _CODES.get(code[:2])]
    known += [words for start, words in _WORDS.items() if said.startswith(start)]
    if known := [words for words in known if words]:
        return str(known[0])
    if error.connection_invalidated:
        return "the database went away"
    if code:
        return f"it says SQLSTATE {code}"
    return "it cannot be reached, or is no such database" if error.orig else "it refused"
