import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from client.source_settings import SqlSource
from client.sources.base import Source
from client.sources.database import database_of
from client.sources.opening import open_source
from client.sources.read_only import read_only
from common.errors import TableError

SECRET = "4711.25"
URL = "sqlite:///ward.db"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    rows = [("007", None, "10:30"), ("7", 30, "a%b"), ("1", 40, ":x")]
    with sqlite3.connect(tmp_path / "ward.db") as connection:
        connection.execute('CREATE TABLE keyless ("Id" TEXT, age INTEGER, note TEXT)')
        connection.executemany("INSERT INTO keyless VALUES (?, ?, ?)", rows)
        connection.execute("CREATE TABLE keyed (age INTEGER, id TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO keyed VALUES (?, ?)", [(9, "b"), (9, "a"), (1, "c")])
    connection.close()
    return tmp_path


def source(folder: Path, **settings: Any) -> Source:
    return open_source(SqlSource(url=URL, **settings), folder)


def everything(source: Source, *columns: str, rows: int = 50_000) -> list[list[Any]]:
    frame: pd.DataFrame = pd.concat(source.chunks(columns, rows=rows))
    return [list(row) for row in frame.itertuples(index=False)]


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_a_table_comes_in_chunks_in_the_order_of_all_its_columns(ward: Path, rows: int) -> None:
    table = source(ward, table="keyless")
    assert [each.name for each in table.columns()] == ["Id", "age", "note"]
    # Whatever is asked for, the order is that of Id, age, note; and 7 stays a whole number.
    assert everything(table, "age", rows=rows) == [[None], [40], [30]]
    assert everything(table, "Id", rows=rows) == [["007"], ["1"], ["7"]]
    assert all(type(age) is int for (age,) in everything(table, "age")[1:])


def test_a_primary_key_orders_a_table(ward: Path) -> None:
    assert everything(source(ward, table="keyed"), "id") == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("condition", ["note = '10:30'", "note LIKE 'a%'", "note = ':x'"])
def test_a_query_means_what_it_says(ward: Path, condition: str) -> None:
    query = f'SELECT "Id" AS id, note AS "the note" FROM keyless WHERE {condition} -- so'
    table = source(ward, query=query)
    assert [each.name for each in table.columns()] == ["id", "the note"]
    assert len(everything(table, "the note")) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"table": "nowhere"}, "no such table"),
        ({"query": "SELECT * FROM nowhere"}, "no such table"),
        ({"query": "SELECT absent FROM keyed"}, "no such column"),
        ({"query": "SELECT 1 FROM keyed WHERE"}, "no SQL"),
        ({"table": "keyed"}, "there is no column x"),
    ],
)
def test_what_is_not_there_is_told(ward: Path, settings: dict[str, str], words: str) -> None:
    with pytest.raises(TableError, match=words) as caught:
        list(source(ward, **settings).chunks(["x"]))
    assert caught.value.__context__ is None


def test_a_file_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        source(tmp_path, table="p").columns()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "ward.db").write_text(SECRET * 1000)
    with pytest.raises(TableError, match="no SQLite file"):
        source(tmp_path, table="p").columns()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM keyed", "CREATE TABLE more (a)", "UPDATE keyed SET age = 1"]
)
def test_the_connection_cannot_write(ward: Path, statement: str) -> None:
    before = (ward / "ward.db").read_bytes()
    database = database_of(SqlSource(url=URL, table="keyed"), ward)
    with (
        read_only(database) as connection,
        pytest.raises(OperationalError, match="readonly database"),
    ):
        connection.execute(text(statement))
    assert (ward / "ward.db").read_bytes() == before


def test_a_reader_that_stops_early_leaves_nothing_open(ward: Path) -> None:
    reading = source(ward, table="keyed").chunks(["id"], rows=1)
    next(reading)
    del reading
    with sqlite3.connect(ward / "ward.db", timeout=0.1) as connection:
        connection.execute("DELETE FROM keyed")
    connection.close()
