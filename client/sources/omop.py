"""OMOP CDM 5.4: persons and their events, out of the tables of a hospital's CDM.

Reference: OHDSI, OMOP Common Data Model v5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import duckdb

from client.source_settings import Concept, OmopSource
from client.sources.database import Database, database_of
from client.sources.duckdb_file import ERRORS as DUCKDB_ERRORS
from client.sources.duckdb_file import duckdb_failure
from client.sources.event_rows import EventRows
from client.sources.files import reason
from client.sources.guard import quietly
from client.sources.omop_tables import CsvTables, DuckdbTables, OmopTables, SqlTables
from client.sources.plan import make_plan
from client.sources.read_only import ERRORS as SQL_ERRORS
from client.sources.read_only import database_failure, read_only
from client.sources.stage import Stage
from common.errors import SettingsError, TableError

_LOG = logging.getLogger("wardround.sources")
Opening = Callable[[], AbstractContextManager[OmopTables]]
_ERRORS = (*DUCKDB_ERRORS, *SQL_ERRORS, zipfile.BadZipFile)
DEATH = "4306655"  # the concept "Death": so that dying can be a label or an index


class Domain(NamedTuple):
    """A table of events. The prefix of its concept and date columns tells them from others."""

    table: str
    concept: str
    date: str
    values: bool = False


DOMAINS = (
    Domain("condition_occurrence", "condition_concept_id", "condition_start_date"),
    Domain("measurement", "measurement_concept_id", "measurement_date", values=True),
    Domain("observation", "observation_concept_id", "observation_date", values=True),
    Domain("drug_exposure", "drug_concept_id", "drug_exposure_start_date"),
    Domain("procedure_occurrence", "procedure_concept_id", "procedure_date"),
    Domain("device_exposure", "device_concept_id", "device_exposure_start_date"),
    Domain("visit_occurrence", "visit_concept_id", "visit_start_date"),
)


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
        _fill_from(stage, tables, where)


def _fill_from(stage: Stage, tables: OmopTables, where: str) -> None:
    """Bring persons, periods, deaths and the events of the concepts asked for to the stage."""

    def step(table: str, call: Callable[[], bool]) -> bool:
        place = f"{where}, table {table}"
        return quietly(call, _ERRORS, lambda error: _failure(error, place))

    for table, needed in (("person", _person), ("observation_period", _periods)):
        if not step(table, lambda call=needed: call(stage, tables)):  # type: ignore[misc]
            raise TableError(
                f"there is no table {table}",
                where=where,
                remedy="name the CDM's folder, zip or cdm_schema, and export this table",
            )
    step("concept_ancestor", lambda: _descendants(stage, tables))
    step("concept", lambda: _unit_codes(stage, tables))
    step("death", lambda: _deaths(stage, tables))
    ids = [
        int(i)
        for (i,) in stage.connection.execute("SELECT DISTINCT concept FROM wanted").fetchall()
    ]
    found = [step(d.table, lambda d=d: _events(stage, tables, d, ids)) for d in DOMAINS]  # type: ignore[misc]
    if not any(found):
        raise TableError(
            "there is no table of events",
            where=where,
            remedy=f"export at least one of {', '.join(each.table for each in DOMAINS)}",
        )


def _person(stage: Stage, tables: OmopTables) -> bool:
    parts = ("year_of_birth", "month_of_birth", "day_of_birth")
    there = tables.load(stage, "person", ["person_id", "gender_concept_id", *parts])
    year, month, day = (f"CAST({p} AS BIGINT)" if p in there else "NULL" for p in parts)
    # Of a year alone the middle is taken, of a month alone its 15th: the error is half of it.
    if there:
        stage.run(f"""
            INSERT INTO person
            SELECT CAST(person_id AS VARCHAR),
                make_date({year}, coalesce({month}, 7),
                    coalesce({day}, CASE WHEN {month} IS NULL THEN 1 ELSE 15 END)),
                CASE CAST(gender_concept_id AS BIGINT) WHEN 8507 THEN 'M' WHEN 8532 THEN 'F' END
            FROM raw_person""")  # noqa: S608
    return bool(there)


def _periods(stage: Stage, tables: OmopTables) -> bool:
    first, last = "observation_period_start_date", "observation_period_end_date"
    there = tables.load(stage, "observation_period", ["person_id", first, last])
    if there:
        stage.run(f"""
            INSERT INTO observed
            SELECT CAST(person_id AS VARCHAR), {_day(first)}, {_day(last)}
            FROM raw_observation_period""")  # noqa: S608
    return bool(there)


def _descendants(stage: Stage, tables: OmopTables) -> bool:
    """Add each concept's descendants to what is wanted, as far as the CDM knows them."""
    asked = [int(concept) for concept in stage.plan.concepts()]
    columns = ["ancestor_concept_id", "descendant_concept_id"]
    there = tables.load(stage, "concept_ancestor", columns, by=columns[0], ids=asked)
    if there:
        stage.run("""
            INSERT INTO wanted
            SELECT DISTINCT slot, CAST(CAST(descendant_concept_id AS BIGINT) AS VARCHAR) AS child
            FROM raw_concept_ancestor JOIN wanted
                ON wanted.concept = CAST(CAST(ancestor_concept_id AS BIGINT) AS VARCHAR)
            WHERE child <> wanted.concept""")
        stage.run("CREATE TABLE apart AS SELECT DISTINCT slot, concept FROM wanted")
        stage.run("DELETE FROM wanted; INSERT INTO wanted FROM apart")
    if not there or not stage.connection.execute("FROM raw_concept_ancestor LIMIT 1").fetchone():
        _LOG.warning("no concept_ancestor: concepts stand for themselves, not for descendants")
    return bool(there)


def _unit_codes(stage: Stage, tables: OmopTables) -> bool:
    stage.run("CREATE TABLE ucum (id BIGINT, code VARCHAR)")
    columns = ["concept_id", "vocabulary_id", "concept_code"]
    there = tables.load(stage, "concept", columns, by="vocabulary_id", ids=["UCUM"])
    if there:
        stage.run("""
            INSERT INTO ucum SELECT CAST(concept_id AS BIGINT), min(concept_code)
            FROM raw_concept WHERE vocabulary_id = 'UCUM' GROUP BY 1""")
    return bool(there)


def _deaths(stage: Stage, tables: OmopTables) -> bool:
    there = tables.load(stage, "death", ["person_id", "death_date"])
    if there:
        day = _day("death_date")
        stage.run(f"""
            INSERT INTO death SELECT CAST(person_id AS VARCHAR), {day}, {day}
            FROM raw_death WHERE death_date IS NOT NULL""")  # noqa: S608
        stage.run(
            """
            INSERT INTO event
            SELECT person, 'death', $concept, day, day, day, CAST(day AS TIMESTAMP), NULL, '', ''
            FROM death""",
            concept=DEATH,
        )
    return bool(there)


def _events(stage: Stage, tables: OmopTables, domain: Domain, ids: list[int]) -> bool:
    """Bring a domain's events to the stage; what `domain` names is this module's own."""
    key, moment = f"{domain.table}_id", f"{domain.date}time"
    wanted = ["person_id", key, domain.concept, domain.date, moment]
    if domain.values:
        wanted += ["value_as_number", "unit_concept_id", "unit_source_value"]
    there = tables.load(stage, domain.table, wanted, by=domain.concept, ids=ids)
    if not there:
        return False
    time = f"TRY_CAST({moment} AS TIMESTAMP)" if moment in there else "NULL"
    value = "CAST(value_as_number AS DOUBLE)" if domain.values else "NULL"
    unit = "CAST(unit_concept_id AS BIGINT)" if "unit_concept_id" in there else "NULL"
    source_unit = "unit_source_value" if "unit_source_value" in there else "''"
    stage.run(f"""
        INSERT INTO event
        WITH dated AS (
            SELECT CAST(person_id AS VARCHAR) AS person, '{domain.table} ' || {key} AS id,
                CAST(CAST({domain.concept} AS BIGINT) AS VARCHAR) AS concept,
                {_day(domain.date)} AS day, {time} AS moment, {value} AS value,
                {unit} AS unit, {source_unit} AS source_unit
            FROM raw_{domain.table})
        SELECT person, dated.id, concept, day, day, day,
            CASE WHEN CAST(moment AS DATE) = day THEN moment ELSE CAST(day AS TIMESTAMP) END,
            value, coalesce(ucum.code, ''), coalesce(source_unit, '')
        FROM dated LEFT JOIN ucum ON ucum.id = dated.unit
        WHERE day IS NOT NULL AND concept IN (SELECT concept FROM wanted)""")  # noqa: S608
    return True


def _day(column: str) -> str:
    return f"CAST(CAST({column} AS TIMESTAMP) AS DATE)"  # a date may come with a midnight


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
