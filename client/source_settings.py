"""The section [source] of site.toml: where a hospital's patients are read from, read-only.

Credentials never stand here: a database's password comes from the environment or from a file of
mode 0600, and never from a study.
"""

from typing import Annotated, Literal

from pydantic import Field

from common.study_sections import Name, Part

Concept = int | str
"""An OMOP concept id, or a FHIR code such as "http://loinc.org|8480-6"."""


class FileSource(Part):
    """A CSV or Parquet file, one row a patient."""

    kind: Literal["file"] = "file"
    path: str
    encoding: str = "utf-8-sig"
    separator: str = Field(default=",", min_length=1, max_length=1)


class SqlSource(Part):
    """A database through SQLAlchemy, or a DuckDB file: one table, or one SELECT.

    url: without password, such as postgresql+psycopg://reader@db/ward. password_env, password_file:
    where the password is. DuckDB: duckdb:///path.
    """

    kind: Literal["sql"] = "sql"
    url: str
    password_env: str = ""
    password_file: str = ""
    table: str = ""
    query: str = ""


class EventFeature(Part):
    """A column made of dated events in the look-back window before the index date.

    concepts: of measurements for a value (`last`, `first`, `mean`, `min`, `max`), of any event for
    `count` or `any` (1 if there was one). unit: the only one that is taken; "" takes what there is.
    """

    name: Name
    concepts: tuple[Concept, ...] = Field(min_length=1)
    value: Literal["last", "first", "mean", "min", "max", "count", "any"] = "last"
    unit: str = ""


class EventLabel(Part):
    """A diagnosis: any event of the concepts in the outcome window after the index date."""

    name: Name
    concepts: tuple[Concept, ...] = Field(min_length=1)


class Cohort(Part):
    """Who is looked at, and when: the index date and the windows around it, in days.

    index: the first event of any of the concepts, or a fixed date (ISO). lookback: days up to and
    including the index date. outcome: days after it. washout: leave out whoever had a label's event
    in the look-back window, for that label.
    """

    index: tuple[Concept, ...] | str
    lookback: int = Field(default=365, ge=0, le=40_000)
    outcome: int = Field(default=365, ge=1, le=40_000)
    washout: bool = True


class OmopSource(Part):
    """OMOP CDM 5.4: a folder or zip of CSV tables, or a database (url as in SqlSource)."""

    kind: Literal["omop"] = "omop"
    path: str = ""
    url: str = ""
    password_env: str = ""
    password_file: str = ""
    cdm_schema: str = ""
    cohort: Cohort
    features: tuple[EventFeature, ...] = ()
    labels: tuple[EventLabel, ...] = Field(min_length=1)


class FhirSource(Part):
    """FHIR R4 bundles: a folder of JSON files (or of NDJSON)."""

    kind: Literal["fhir"] = "fhir"
    path: str
    cohort: Cohort
    features: tuple[EventFeature, ...] = ()
    labels: tuple[EventLabel, ...] = Field(min_length=1)


SourceSettings = Annotated[
    FileSource | SqlSource | OmopSource | FhirSource, Field(discriminator="kind")
]
