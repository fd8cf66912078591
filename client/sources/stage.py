"""The table of events that OMOP and FHIR are both brought to, in a DuckDB of a reading's own.

An event may be dated by a span of days (a FHIR date of only a year or month): `day` is the earliest
day that it can have been, `last` the latest, both the same as a rule. `known` is the day from which
the hospital knew of it, never before `last`; `moment` orders the events of a day, in UTC.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from client.sources.plan import Plan
from client.sources.scratch import confine, scratch

_TEXT, _DAY = pa.string(), pa.date32()
SCHEMAS: dict[str, Any] = {
    "person": pa.schema({"person": _TEXT, "born": _DAY, "sex": _TEXT}),
    "event": pa.schema(
        {
            "person": _TEXT,
            "id": _TEXT,  # the same for all codes of one event, so that it counts once
            "concept": _TEXT,
            "day": _DAY,
            "last": _DAY,
            "known": _DAY,
            "moment": pa.timestamp("us"),
            "value": pa.float64(),
            "unit": _TEXT,  # UCUM, where known
            "source_unit": _TEXT,
        }
    ),
    "observed": pa.schema({"person": _TEXT, "day": _DAY, "last": _DAY}),
    "death": pa.schema({"person": _TEXT, "day": _DAY, "last": _DAY}),
    "slot": pa.schema({"slot": pa.int32(), "kind": _TEXT, "how": _TEXT, "unit": _TEXT}),
    "wanted": pa.schema({"slot": pa.int32(), "concept": _TEXT}),
}


class Stage:
    """Persons and their events. folder: a private place for files, removed with the stage."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: Plan, folder: Path) -> None:
        self.connection, self.plan, self.folder = connection, plan, folder
        for name, schema in SCHEMAS.items():
            connection.from_arrow(schema.empty_table()).create(name)
        self.add("slot", [(s.number, s.kind, s.how, s.unit) for s in plan.slots])
        self.add("wanted", [(s.number, c) for s in plan.slots for c in s.concepts])

    def add(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows to one of the tables of SCHEMAS."""
        if not rows:
            return
        schema = SCHEMAS[table]
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        self.connection.from_arrow(pa.Table.from_arrays(arrays, schema=schema)).insert_into(table)

    def run(self, statement: str, **parameters: Any) -> None:
        """Execute a statement of this program's own; values go in as parameters."""
        self.connection.execute(statement, parameters or None)


@contextmanager
def staged(plan: Plan, node: Path) -> Iterator[Stage]:
    """Open an empty stage of bounded memory; what spills lies in the node's state."""
    with scratch(node) as folder, duckdb.connect(":memory:") as connection:
        confine(connection, folder, files=True)
        yield Stage(connection, plan, folder)
