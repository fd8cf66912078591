"""Against a real server: make test-postgres."""

import csv
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from client.source_settings import SqlSource
from client.sources.base import Source
from client.sources.database import database_of
from client.sources.opening import open_source
from client.sources.read_only import read_only
from common.errors import TableError
from tests.client.sources import samples
from tests.client.sources.postgres_server import PASSWORD, Server, postgres

pytestmark = pytest.mark.postgres

SECRET = "4711.25"
TABLES = f"""
CREATE TABLE patients (age int, id text PRIMARY KEY, note text, seen timestamptz, doc json);
INSERT INTO patients
  SELECT i % 90, lpad(i::text, 7, '0'), repeat('x', 200), '2020-01-01', '{{}}'
  FROM generate_series(1, 300000) i;
CREATE TABLE keyless AS SELECT 300000 - i AS back, i % 7 AS week FROM generate_series(1, 50) i;
CREATE TABLE hidden AS SELECT '{SECRET}' AS id;
CREATE SCHEMA other; CREATE VIEW other.old AS SELECT * FROM patients WHERE age > 80;
GRANT SELECT ON patients, keyless, other.old TO reader; GRANT USAGE ON SCHEMA other TO reader;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        running.run(TABLES)
        yield running


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARD_PASSWORD", PASSWORD)


def settings(server: Server, user: str = "reader", **what: str) -> SqlSource:
    given = {"url": server.url(user), "password_env": "WARD_PASSWORD"}
    return SqlSource.model_validate(given | what)


def source(server: Server, **what: str) -> Source:
    return open_source(settings(server, **what), Path("unused"))


def refusal(source: Source, *columns: str) -> str:
    with pytest.raises(TableError) as caught:
        list(source.chunks(columns))
    assert caught.value.__context__ is None
    assert not {SECRET, PASSWORD} & set(str(caught.value).split())
    return str(caught.value)


def test_a_table_is_streamed_in_the_order_of_its_key(server: Server) -> None:
    table = source(server, table="patients")
    assert [each.name for each in table.columns()] == ["age", "id", "note", "seen", "doc"]
    list(table.chunks(["age"], rows=100_000))  # imports and caches of the first time
    tracemalloc.start()
    first = count = 0
    for chunk in table.chunks(["id", "note"], rows=5_000):
        assert chunk["id"].iloc[0] == f"{count + 1:07d}"
        count += len(chunk)
        first = first or tracemalloc.get_traced_memory()[1]
    assert count == 300_000
    # 300,000 notes of 200 bytes are 60 MB and more: no more is held than a few chunks.
    assert tracemalloc.get_traced_memory()[1] < max(20e6, 2 * first)
    tracemalloc.stop()


def test_a_table_without_key_and_a_view_keep_their_order(server: Server) -> None:
    frame = pd.concat(source(server, table="keyless").chunks(["back"], rows=7))
    assert frame["back"].is_monotonic_increasing
    assert len(next(source(server, query="SELECT id, age FROM other.old").chunks(["id"]))) > 0
    assert "order" in refusal(source(server, table="other.old"), "id")  # json has none


def test_a_query_with_casts_percent_and_colons(server: Server) -> None:
    query = "SELECT age::text AS a, ':x' AS b FROM patients WHERE id LIKE '%00007' AND age = 7"
    assert next(source(server, query=query).chunks(["a", "b"])).iloc[0].tolist() == ["7", ":x"]


def test_two_columns_of_one_name_are_refused(server: Server) -> None:
    assert "one name" in refusal(source(server, query="SELECT 1 AS a, 2 AS a"), "a")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM patients", "CREATE TABLE t (a int)", "UPDATE patients SET age = 1"]
)
def test_the_owner_itself_cannot_write(server: Server, statement: str) -> None:
    database = database_of(settings(server, user="owner", table="patients"), Path())
    with read_only(database) as connection:
        with pytest.raises(DBAPIError) as caught:
            connection.execute(text(statement))
        assert getattr(caught.value.orig, "sqlstate", "") == "25006"


def test_a_function_that_writes_is_refused(server: Server) -> None:
    server.run(
        "CREATE FUNCTION forget() RETURNS int LANGUAGE sql AS 'DELETE FROM patients RETURNING 1'"
    )
    owner = settings(server, user="owner", query="SELECT forget() AS a")
    assert "only reading is allowed" in refusal(open_source(owner, Path()), "a")
    assert len(next(source(server, table="patients").chunks(["id"]))) == 50_000


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"table": "nowhere"}, "no such table"),
        ({"table": "hidden"}, "permission denied"),
        ({"query": "SELECT absent FROM patients"}, "no such column"),
        ({"query": "SELECT FROM WHERE"}, "no SQL"),
        ({"query": f"SELECT CAST('{SECRET}x' AS int) AS id"}, "SQLSTATE 22P02"),
        ({"query": "SELECT * FROM elsewhere.p"}, "no such table"),
    ],
)
def test_what_fails_is_told_in_fixed_words(
    server: Server, what: dict[str, str], words: str
) -> None:
    assert words in refusal(source(server, **what), "id")


def test_a_wrong_password_is_told_and_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    table = source(server, table="patients")
    monkeypatch.setenv("WARD_PASSWORD", "wrong-" + PASSWORD)
    with pytest.raises(TableError) as caught:
        table.columns()
    assert "cannot be read" in str(caught.value)
    assert PASSWORD not in str(caught.value) + caplog.text
    monkeypatch.setenv("WARD_PASSWORD", PASSWORD)
    list(source(server, table="keyless").chunks(["back"]))
    assert PASSWORD not in caplog.text


def test_a_server_that_dies_while_it_is_read_is_told() -> None:
    with postgres() as dying:
        dying.run(TABLES)
        reading = source(dying, table="patients").chunks(["id", "note"], rows=100)
        next(reading)
        dying.kill()
        with pytest.raises(TableError, match=r"went away|was lost") as caught:
            list(reading)
        assert caught.value.__context__ is None
        assert "cannot be reached" in refusal(source(dying, table="patients"), "id")


def test_omop_of_a_database_gives_the_rows_of_plain_loops(server: Server, tmp_path: Path) -> None:
    persons = samples.patients()
    folder = samples.write_omop(tmp_path / "cdm", persons)
    folder.chmod(0o755)
    server.run("CREATE SCHEMA cdm; GRANT USAGE ON SCHEMA cdm TO reader")
    for path in folder.glob("*.csv"):
        with path.open(newline="") as lines:
            head, *rows = list(csv.reader(lines))
        server.run(f"CREATE TABLE cdm.{path.stem} ({', '.join(map(typed, head))})")
        entries = [[f"'{entry}'" if entry else "NULL" for entry in row] for row in rows]
        values = ", ".join(f"({', '.join(row)})" for row in entries)
        server.run(f"INSERT INTO cdm.{path.stem} VALUES {values}")
    server.run("GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader")
    place: Any = {"url": server.url(), "cdm_schema": "cdm", "password_env": "WARD_PASSWORD"}
    found = open_source(samples.omop(**place), tmp_path)
    frame = pd.concat(found.chunks([each.name for each in found.columns()]), ignore_index=True)
    wanted = samples.expected(persons)
    assert dict(found.columns())["last"] == "mm[Hg]"
    for name in wanted.columns:
        got = [None if pd.isna(each) else each for each in frame[name]]
        assert got == pytest.approx([None if pd.isna(e) else e for e in wanted[name]]), name


def typed(column: str) -> str:
    """A column as the CDM's own scripts declare it."""
    kinds = {"_date": "date", "datetime": "timestamp", "_number": "numeric", "_value": "text"}
    kind = next((kinds[end] for end in kinds if column.endswith(end)), "integer")
    text = column in ("concept_name", "vocabulary_id", "concept_code")
    return f"{column} {'text' if text else kind}"
