"""OMOP CDM 5.4: persons and their events, out of the tables of a hospital's CDM.

Reference: OHDSI, OMOP Common Data Model v5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import duckdb

from client.source_settings import Concept, OmopSource
from client.sources.database import Database, database_of
from client.sources.duckdb_file import ERRORS as DUCKDB_ERRORS
from client.sources.duckdb_file import duckdb_failure
from client.sources.event_rows import EventRows
from client.sources.files import reason
from client.sources.omop_events import fill
from client.sources.omop_tables import CsvTables, DuckdbTables, OmopTables, SqlTables
from client.sources.plan import make_plan
from client.sources.read_only import ERRORS as SQL_ERRORS
from client.sources.read_only import database_failure, read_only
from client.sources.stage import Stage
from common.errors import SettingsError, TableError

Opening = Callable[[], AbstractContextManager[OmopTables]]
_ERRORS = (*DUCKDB_ERRORS, *SQL_ERRORS, zipfile.BadZipFile)


def omop_rows(settings: OmopSource, folder: Path) -> EventRows:
    """Return the source; nothing is read yet.

    Raises:
        SettingsError: path and url are both given or both missing, or a setting cannot be.
    """
    if bool(settings.path) == bool(settings.url):
        raise SettingsError(
            "source needs either path or url",
            where="site.toml",
            remedy="give the folder or zip of CSV tables, or the database",
        )
    plan = make_plan(settings, _concept)
    opening, where = _tables(settings, folder)
    return EventRows(
        plan,
        folder,
        where=where,
        fill=lambda stage: _fill(stage, opening, where),
        errors=_ERRORS,
        tell=lambda error: _failure(error, where),
    )


def _concept(concept: Concept) -> str:
    try:
        return str(int(concept))
    except ValueError:
        raise ValueError("no concept id of OMOP") from None


def _tables(settings: OmopSource, folder: Path) -> tuple[Opening, str]:
    """Return how the tables are opened, once a reading, and where they are."""
    if settings.path:
        path = folder / settings.path
        return lambda: nullcontext(CsvTables(path)), str(path)
    database, schema = database_of(settings, folder), settings.cdm_schema
    if database.url.get_backend_name() == "duckdb":
        return lambda: nullcontext(DuckdbTables(database, schema)), database.where
    return lambda: _sql_tables(database, schema), database.where


@contextmanager
def _sql_tables(database: Database, schema: str) -> Iterator[OmopTables]:
    with read_only(database) as connection:  # one snapshot for all tables
        yield SqlTables(connection, schema)


def _fill(stage: Stage, opening: Opening, where: str) -> None:
    with opening() as tables:
        fill(stage, tables, where=where, errors=_ERRORS, tell=_failure)


def _failure(error: Exception, where: str) -> TableError:
    if isinstance(error, zipfile.BadZipFile):
        return TableError("this is no zip", where=where, remedy="copy it again, to its end")
    if isinstance(error, duckdb.Error):
        return duckdb_failure(error, where, what="the table")
    if isinstance(error, OSError):
        return TableError(
            f"the tables cannot be read: {reason(error)}",
            where=where,
            remedy="name the folder or zip of the CDM's CSV files, readable to this user",
        )
    return database_failure(error, where)
