"""From dated events to one row a person: index date, look-back window, outcome window, washout.

Days are counted from a person's index date, which is day 0:

    look-back            -lookback .. 0        features; nothing that was known after day 0
    outcome                      1 .. outcome  labels

A label is 1 if an event lies in the outcome window. It is 0 only if the person was observed through
all of it, or died in it; else nobody knows, and it is missing. An event whose span of days is only
partly in the outcome window makes it missing, too. With washout it is missing for whoever may have
had the event in the look-back window: only new diagnoses count.
"""

from collections.abc import Generator, Sequence

import pandas as pd

from client.sources.frames import frames
from client.sources.plan import AGE, COUNTS, PERSON, SEX, Slot
from client.sources.stage import Stage

_PART = 1_000_000
"""Events whose mean is made at a time: what an ordered mean holds cannot spill to disk."""

_TABLES = """
CREATE TABLE cohort (person VARCHAR, day DATE);
CREATE TABLE followed (person VARCHAR);
CREATE TABLE hit (slot INTEGER, person VARCHAR, id VARCHAR, opens BIGINT, closes BIGINT,
    known BIGINT, moment TIMESTAMP, value DOUBLE, unit VARCHAR, source_unit VARCHAR);
CREATE TABLE answer (slot INTEGER, person VARCHAR, value DOUBLE);
"""

_FIRST_EVENT = """
INSERT INTO cohort
SELECT event.person, min(event.day)
FROM event JOIN wanted USING (concept) JOIN slot USING (slot)
WHERE slot.kind = 'index' AND event.day = event.last  -- a span of days fixes no date
GROUP BY event.person
"""

_FIXED = """
INSERT INTO cohort
SELECT DISTINCT person.person, CAST($index AS DATE)
FROM person
WHERE coalesce(born <= CAST($index AS DATE), true) AND NOT EXISTS (
    FROM death WHERE death.person = person.person AND death.last < CAST($index AS DATE))
"""

_HITS = """
INSERT INTO hit
SELECT DISTINCT slot, event.person, event.id, event.day - cohort.day, event.last - cohort.day,
    event.known - cohort.day, event.moment, event.value, event.unit, event.source_unit
FROM event JOIN wanted USING (concept) JOIN slot USING (slot)
    JOIN cohort ON cohort.person = event.person
WHERE slot.kind <> 'index'
    AND event.last - cohort.day >= -$lookback AND event.day - cohort.day <= $outcome
"""

# Periods that overlap or follow on the next day are one.
_FOLLOWED = """
INSERT INTO followed
WITH edges AS (
    SELECT *, max(last) OVER (PARTITION BY person ORDER BY day, last
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM observed),
islands AS (
    SELECT *, sum(CASE WHEN day <= before + 1 THEN 0 ELSE 1 END) OVER (
        PARTITION BY person ORDER BY day, last ROWS UNBOUNDED PRECEDING) AS island
    FROM edges),
periods AS (
    SELECT person, min(day) AS day, max(last) AS last FROM islands GROUP BY person, island)
SELECT person FROM cohort JOIN periods USING (person)
WHERE periods.day - cohort.day <= 1 AND periods.last - cohort.day >= $outcome
UNION
SELECT person FROM cohort JOIN death USING (person)
WHERE death.day - cohort.day >= 1 AND death.last - cohort.day <= $outcome
"""

# Of events at the same moment, the greatest value is the last and the least the first. The mean
# adds in a fixed order: threads would change its last bit from reading to reading.
_VALUES = {
    "last": "max_by(value, {'moment': moment, 'value': value})",
    "first": "min_by(value, {'moment': moment, 'value': value})",
    "mean": "avg(value ORDER BY moment, value)",
    "min": "min(value)",
    "max": "max(value)",
    "count": "count(*)",
    "any": "1",
}

_FEATURE = """
INSERT INTO answer
SELECT slot, person, {value} FROM hit
WHERE slot = $slot AND opens >= -$lookback AND known <= 0
    AND ($unit = '' OR unit = $unit OR source_unit = $unit)
    AND ($counts OR isfinite(value)) AND hash(person) % $parts = $part
GROUP BY slot, person
"""

_LABELS = """
INSERT INTO answer
WITH found AS (
    SELECT slot, person,
        bool_or(opens >= 1 AND closes <= $outcome) AS inside,
        bool_or(opens <= $outcome AND closes >= 1) AS touching,
        bool_or(opens <= 0 AND closes >= -$lookback) AS before
    FROM hit GROUP BY slot, person)
SELECT slot.slot, cohort.person, CASE
    WHEN $washout AND found.before THEN NULL
    WHEN found.inside THEN 1
    WHEN found.touching THEN NULL
    WHEN cohort.person IN (FROM followed) THEN 0 END
FROM cohort CROSS JOIN slot
    LEFT JOIN found ON found.slot = slot.slot AND found.person = cohort.person
WHERE slot.kind = 'label'
"""

_UNITS = """
SELECT slot, coalesce(nullif(event.unit, ''), event.source_unit) AS spelt, count(*) AS number
FROM event JOIN wanted USING (concept) JOIN slot USING (slot)
WHERE slot.kind = 'feature' AND value IS NOT NULL
GROUP BY ALL HAVING spelt <> '' ORDER BY slot, number, spelt DESC
"""


def person_rows(
    stage: Stage, names: Sequence[str], rows: int
) -> Generator[pd.DataFrame, None, None]:
    """Yield a row a person of the cohort with these columns, in order of the persons' names."""
    _answer(stage)
    columns = _columns(stage)
    chosen = ", ".join(columns[name] for name in names)
    # The text is made of this module's own words and of numbers.
    statement = f"""
        WITH wide AS (FROM answer SELECT person, {_pivot(stage)} GROUP BY person)
        SELECT {chosen} FROM cohort JOIN person USING (person) LEFT JOIN wide USING (person)
        ORDER BY person, born, sex"""  # noqa: S608
    for frame in frames(stage.connection.sql(statement).to_arrow_reader(rows), rows):
        yield frame.set_axis(list(names), axis=1)


def frequent_units(stage: Stage) -> dict[int, str]:
    """Return the most frequent unit of each feature's slot, where there is one."""
    found = stage.connection.execute(_UNITS).fetchall()
    return {slot: unit for slot, unit, _ in found}  # the last of a slot is the most frequent


def _answer(stage: Stage) -> None:
    cohort = stage.plan.cohort
    lookback, outcome = cohort.lookback, cohort.outcome
    stage.run(_TABLES)
    if stage.plan.index_day:
        stage.run(_FIXED, index=stage.plan.index_day)
    else:
        stage.run(_FIRST_EVENT)
    stage.run(_HITS, lookback=lookback, outcome=outcome)
    stage.run(_FOLLOWED, outcome=outcome)
    for slot in stage.plan.of_kind("feature"):
        _feature(stage, slot)
    stage.run(_LABELS, lookback=lookback, outcome=outcome, washout=cohort.washout)


def _feature(stage: Stage, slot: Slot) -> None:
    asked = {"slot": slot.number, "unit": slot.unit, "lookback": stage.plan.cohort.lookback}
    parts = 1
    if slot.how == "mean":
        found = stage.connection.execute("SELECT count(*) FROM hit WHERE slot = ?", [slot.number])
        parts += found.fetchall()[0][0] // _PART
    statement = _FEATURE.format(value=_VALUES[slot.how])
    for part in range(parts):
        stage.run(statement, **asked, counts=slot.how in COUNTS, parts=parts, part=part)


def _columns(stage: Stage) -> dict[str, str]:
    """Return each column's expression by its name."""
    born_to_index = "CAST(date_sub('year', born, cohort.day) AS INTEGER)"
    columns = {PERSON: "person", SEX: "sex", AGE: born_to_index}
    for slot in stage.plan.slots:
        if slot.kind == "label":
            columns[slot.name] = f"CAST(s{slot.number} AS TINYINT)"
        elif slot.kind == "feature":
            none = "0" if slot.how in COUNTS else "NULL"
            columns[slot.name] = f"coalesce(s{slot.number}, {none})"
    return columns


def _pivot(stage: Stage) -> str:
    slots = [slot.number for slot in stage.plan.slots if slot.kind != "index"]
    return ", ".join(f"max(value) FILTER (slot = {n}) AS s{n}" for n in slots)
