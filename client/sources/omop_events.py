"""The tables of an OMOP CDM as rows of the stage: persons, periods, deaths, events."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from client.sources.guard import Errors, quietly
from client.sources.omop_tables import OmopTables
from client.sources.stage import Stage
from common.errors import TableError

_LOG = logging.getLogger("wardround.sources")
Tell = Callable[[Exception, str], TableError]
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


def fill(stage: Stage, tables: OmopTables, *, where: str, errors: Errors, tell: Tell) -> None:
    """Bring persons, periods, deaths and the events of the concepts asked for to the stage.

    Raises:
        TableError: a table is lacking or cannot be read; tell makes it of a library's errors.
    """

    def step(table: str, load: Callable[..., bool], *more: Any) -> bool:
        place = f"{where}, table {table}"
        return quietly(lambda: load(stage, tables, *more), errors, lambda error: tell(error, place))

    for table, load in (("person", _person), ("observation_period", _periods)):
        if not step(table, load):
            raise _lacking(f"table {table}", where, "and export this table")
    step("concept_ancestor", _descendants)
    step("concept", _unit_codes)
    step("death", _deaths)
    wanted = stage.connection.execute("SELECT DISTINCT concept FROM wanted").fetchall()
    ids = [int(concept) for (concept,) in wanted]
    found = [step(each.table, _events, each, ids) for each in DOMAINS]
    if not any(found):
        names = ", ".join(each.table for each in DOMAINS)
        raise _lacking("table of events", where, f"and export at least one of {names}")


def _lacking(what: str, where: str, more: str) -> TableError:
    remedy = f"name the CDM's folder, zip or cdm_schema, {more}"
    return TableError(f"there is no {what}", where=where, remedy=remedy)


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
