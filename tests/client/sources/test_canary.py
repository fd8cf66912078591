"""An entry planted where a reading breaks appears in no error, no chain of causes and no log."""

import json
import logging
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from client.source_settings import FileSource, SqlSource
from client.sources.base import Source
from client.sources.opening import open_source
from common.errors import WardroundError
from tests.client.sources import samples

CANARY = "zq4711canary"
Plant = Callable[[Path], Source]


def csv_file(content: str) -> Plant:
    def plant(folder: Path) -> Source:
        (folder / "t.csv").write_bytes(content.encode(errors="surrogateescape"))
        return open_source(FileSource(path="t.csv"), folder)

    return plant


def parquet_file(folder: Path) -> Source:
    parquet.write_table(pa.table({"id": [CANARY] * 100}), folder / "t.parquet", compression="none")
    whole = (folder / "t.parquet").read_bytes()
    damaged = whole.replace(CANARY.encode(), CANARY[::-1].encode() * 2, 1)
    (folder / "t.parquet").write_bytes(damaged)
    return open_source(FileSource(path="t.parquet"), folder)


def sqlite_file(folder: Path) -> Source:
    with sqlite3.connect(folder / "w.db") as connection:
        connection.execute("CREATE TABLE p (id TEXT, doc TEXT)")
        connection.execute("INSERT INTO p VALUES (?, ?)", (CANARY, "{" + CANARY))
    connection.close()
    query = "SELECT id, json_extract(doc, '$.a') AS a FROM p"
    return open_source(SqlSource(url="sqlite:///w.db", query=query), folder)


def duckdb_file(folder: Path) -> Source:
    with duckdb.connect(str(folder / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE p AS SELECT ? AS id", [CANARY])
    query = "SELECT CAST(id AS DATE) AS id FROM p"
    return open_source(SqlSource(url="duckdb:///w.duckdb", query=query), folder)


def omop(kind: str, table: str, column: int, entry: str = CANARY) -> Plant:
    """The sample with one entry of a table's row 1 replaced."""

    def plant(folder: Path) -> Source:
        tables = samples.write_omop(folder / "cdm", samples.patients(8))
        path = tables / f"{table.upper()}.csv"
        lines = path.read_text().splitlines()
        cells = lines[1].split(",")
        cells[column] = entry
        path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
        place: dict[str, Any] = {"path": "cdm"}
        if kind == "sqlite":
            samples.write_sqlite(folder / "cdm.db", tables)
            place = {"url": "sqlite:///cdm.db"}
        elif kind == "duckdb":
            samples.write_duckdb(folder / "cdm.duckdb", tables)
            place = {"url": "duckdb:///cdm.duckdb", "cdm_schema": "cdm"}
        return open_source(samples.omop(**place), folder)

    return plant


def fhir(change: Callable[[str], str]) -> Plant:
    """A bundle whose text is changed, in a file that is named after the patient."""

    def plant(folder: Path) -> Source:
        text = json.dumps(samples.bundle(samples.patients(1)[0]))
        assert change(text) != text
        (folder / f"{CANARY}.json").write_text(change(text))
        (folder / "other.ndjson").write_text(f'{{"resourceType": "Patient", "id": "{CANARY}"}}\n')
        return open_source(samples.fhir(path="."), folder)

    return plant


PLANTS: dict[str, Plant] = {
    "csv torn": csv_file(f"id,a\n1,2\n{CANARY},2,{CANARY}\n"),
    "csv short": csv_file(f"id,a\n1,2\n{CANARY}\n"),
    "csv encoding": csv_file(f"id,a\n{CANARY},\udcff\n"),
    "csv nul": csv_file(f"id,a\n{CANARY},\0\n"),
    "csv quote": csv_file(f'id,a\n1,"{CANARY}\n'),
    "csv without header": csv_file(f"{CANARY},{CANARY}\n1,2\n"),
    "parquet": parquet_file,
    "sqlite": sqlite_file,
    "duckdb": duckdb_file,
    "omop date": omop("csv", "condition_occurrence", 3),
    "omop value": omop("csv", "measurement", 5),
    "omop concept": omop("csv", "measurement", 2),
    "omop year": omop("csv", "person", 2),
    "omop month": omop("csv", "person", 3, "13"),
    "omop torn": omop("csv", "measurement", 5, f"{CANARY},{CANARY},{CANARY}"),
    "omop period": omop("csv", "observation_period", 1),
    "omop sqlite date": omop("sqlite", "condition_occurrence", 3),
    "omop sqlite value": omop("sqlite", "measurement", 5),
    "omop duckdb value": omop("duckdb", "measurement", 5),
    "omop duckdb date": omop("duckdb", "condition_occurrence", 3),
    "fhir no json": fhir(lambda text: text[:-20] + CANARY),
    "fhir date": fhir(
        lambda text: text.replace('"onsetDateTime": "2', f'"onsetDateTime": "{CANARY}')
    ),
    "fhir value": fhir(lambda text: text.replace('{"value": ', f'{{"value": "{CANARY}", "x": ', 1)),
    "fhir type": fhir(lambda text: text.replace('"finished"', f'{{"{CANARY}": 1}}')),
    "fhir birth": fhir(lambda text: text.replace('"birthDate": "', f'"birthDate": "{CANARY}')),
}


def chain(error: BaseException | None) -> list[BaseException]:
    """The error and all that it hangs on, shown or not."""
    if error is None:
        return []
    return [error, *chain(error.__cause__), *chain(error.__context__)]


@pytest.mark.parametrize("place", PLANTS)
def test_the_canary_is_silent(
    place: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    source = PLANTS[place](tmp_path)
    with pytest.raises(WardroundError) as caught:
        read(source)
    told = [text for each in chain(caught.value) for text in (str(each), repr(vars(each)))]
    told += traceback.format_exception(caught.value)
    told += [caplog.text, *capfd.readouterr(), source.where]
    assert not [text for text in told if CANARY in text or CANARY[::-1] in text]


def read(source: Source) -> Any:
    names = [each.name for each in source.columns()]
    return list(source.chunks(names))
