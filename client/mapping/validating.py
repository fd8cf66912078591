"""The contract of what a reading hands on, checked by pandera: counts only, never an entry.

A reading has turned what cannot be into missing already, so most counts are 0 by construction;
that they are is what is checked here, by a library that knows nothing of how it was read.
"""

from collections import Counter

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from client.sources.base import CHUNK_ROWS
from common.study import Feature, Study

PLAUSIBLE, USUAL, LISTED, NAMED, EMPTY = "plausible", "usual", "listed", "named", "not_nullable"
TWICE = "twice"
Counts = Counter[tuple[str, str]]


def schema_of(study: Study) -> pa.DataFrameSchema:
    """Return the schema of a frame in the study's columns."""
    columns = {feature.name: _column(feature) for feature in study.features}
    named = pa.Check(lambda names: names.str.len() > 0, error=NAMED)
    columns[study.columns.patient] = pa.Column(str, named)
    for task in study.tasks:
        columns[task.column] = pa.Column("category", nullable=True)
    return pa.DataFrameSchema(columns, strict=True)


def broken(frame: pd.DataFrame, study: Study) -> Counts:
    """Return how many entries of each column fail each check; a column's own type counts once.

    Rows are checked in parts, since pandera lists each entry that fails.
    """
    schema = schema_of(study)
    counts: Counts = Counter()
    for start in range(0, len(frame), CHUNK_ROWS):
        try:
            schema.validate(frame[start : start + CHUNK_ROWS], lazy=True)
        except SchemaErrors as error:
            cases = error.failure_cases
            counts.update(zip(cases["column"].astype(str), cases["check"].astype(str), strict=True))
    if twice := int(frame[study.columns.patient].duplicated().sum()):
        counts[study.columns.patient, TWICE] = twice
    return counts


def _column(feature: Feature) -> pa.Column:
    if feature.kind == "category":
        listed = pa.Check.isin(list(map(str, feature.categories)), error=LISTED)
        return pa.Column("category", listed, nullable=feature.may_be_missing)
    if feature.kind == "binary":
        listed = pa.Check.isin([0.0, 1.0], error=LISTED)
        return pa.Column("float32", listed, nullable=feature.may_be_missing)
    checks = [pa.Check.in_range(*feature.usual, error=USUAL)]
    if feature.plausible:
        checks.append(pa.Check.in_range(*feature.plausible, error=PLAUSIBLE))
    return pa.Column("float32", checks, nullable=feature.may_be_missing)
