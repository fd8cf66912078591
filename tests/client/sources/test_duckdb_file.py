import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from client.source_settings import SqlSource
from client.sources.base import Source
from client.sources.database import database_of
from client.sources.duckdb_file import DuckdbRows
from client.sources.omop_tables import DuckdbTables
from client.sources.opening import open_source
from client.sources.plan import make_plan
from client.sources.stage import staged
from common.errors import TableError
from tests.client.sources import samples

SECRET = "4711.25"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    with duckdb.connect(str(tmp_path / "ward.duckdb")) as connection:
        connection.execute('CREATE TABLE p ("Id" VARCHAR, age INTEGER, "a""b" VARCHAR)')
        rows = [("7", None, "x"), ("007", 30, "10:30"), ("1", 40, SECRET)]
        connection.executemany("INSERT INTO p VALUES (?, ?, ?)", rows)
        connection.execute("CREATE SCHEMA s; CREATE VIEW s.v AS SELECT age FROM p")
    return tmp_path


def source(folder: Path, **settings: Any) -> Source:
    return open_source(SqlSource(url="duckdb:///ward.duckdb", **settings), folder)


def refusal(source: Source) -> str:
    with pytest.raises(TableError) as caught:
        list(source.chunks(["Id"]))
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_rows_come_in_the_order_of_all_columns(ward: Path, rows: int) -> None:
    table = source(ward, table="p")
    assert [each.name for each in table.columns()] == ["Id", "age", 'a"b']
    frame = pd.concat(table.chunks(["age", 'a"b'], rows=rows))
    assert frame['a"b'].tolist() == ["10:30", SECRET, "x"]
    assert frame["age"].astype("string").tolist() == ["30", "40", pd.NA]


def test_schemas_views_and_queries_are_read(ward: Path) -> None:
    assert len(next(source(ward, table="s.v").chunks(["age"]))) == 3
    query = source(ward, query="SELECT age FROM p WHERE age > 30 -- so")
    assert next(query.chunks(["age"]))["age"].tolist() == [40]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT x FROM p", "no such column"),
        ("SELECT * FROM nowhere", "no such table"),
        ("SELECT 1 FROM p WHERE", "no SQL"),
        ('SELECT CAST("a""b" AS DATE) AS "Id" FROM p', "type"),
        ("SELECT * FROM read_csv('/etc/passwd')", "only reading this one file"),
        ("SELECT * FROM '/etc/passwd.csv'", "cannot be read"),
    ],
)
def test_a_query_that_fails_is_told_in_fixed_words(ward: Path, query: str, words: str) -> None:
    assert words in refusal(source(ward, query=query))


def test_a_file_open_for_writing_elsewhere_is_told(ward: Path) -> None:
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(ward / 'ward.duckdb')!r}); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert "open for writing" in refusal(source(ward, table="p"))
        other.communicate()


def test_a_missing_or_damaged_file_is_told_and_none_is_made(tmp_path: Path) -> None:
    assert "no longer there" in refusal(source(tmp_path, table="p"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "ward.duckdb").write_text(SECRET * 1000)
    assert "damaged" in refusal(source(tmp_path, table="p"))


def test_a_reading_leaves_the_file_as_it_was_and_no_other(ward: Path) -> None:
    (ward / "state").mkdir()
    before = (ward / "ward.duckdb").read_bytes()
    list(source(ward, table="p").chunks(["Id"]))
    assert (ward / "ward.duckdb").read_bytes() == before
    assert sorted(p.name for p in ward.rglob("*")) == ["state", "ward.duckdb"]


@pytest.mark.parametrize("statement", ["DELETE FROM p", "CREATE TABLE t (a INTEGER)"])
def test_the_connection_cannot_write(ward: Path, statement: str) -> None:
    settings = SqlSource(url="duckdb:///ward.duckdb", table="p")
    rows = DuckdbRows(settings, database_of(settings, ward), ward)
    with (
        rows._connection() as connection,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        connection.execute(statement)


def test_omop_attaches_a_file_that_cannot_be_written(ward: Path) -> None:
    settings = SqlSource(url="duckdb:///ward.duckdb", table="p")
    tables = DuckdbTables(database_of(settings, ward), "")
    with staged(make_plan(samples.omop(path="."), str), ward) as stage:
        assert tables.load(stage, "p", ["age"]) == {"id", "age", 'a"b'}
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            stage.run("DELETE FROM cdm.main.p")
