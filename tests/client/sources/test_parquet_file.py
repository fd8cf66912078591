from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from client.source_settings import FileSource
from client.sources.base import LocalColumn, Source
from client.sources.opening import open_source
from common.errors import TableError

SECRET = "4711.25"


def source(folder: Path, table: pa.Table, row_group_size: int = 4) -> Source:
    parquet.write_table(table, folder / "t.parquet", row_group_size=row_group_size)
    return open_source(FileSource(path="t.parquet"), folder)


def refusal(table: Source) -> str:
    with pytest.raises(TableError) as caught:
        list(table.chunks(["id"]))
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_rows_come_in_order_whatever_the_row_groups(tmp_path: Path) -> None:
    table = source(tmp_path, pa.table({"id": list(range(11)), "t": ["x"] * 11}))
    assert table.columns() == [LocalColumn("id"), LocalColumn("t")]
    chunks = list(table.chunks(["id"], rows=3))
    assert [len(each) for each in chunks] == [3, 3, 3, 2]
    assert pd.concat(chunks)["id"].tolist() == list(range(11))


def test_a_missing_entry_leaves_whole_numbers_whole(tmp_path: Path) -> None:
    table = source(tmp_path, pa.table({"id": [7, None, 9]}))
    assert next(table.chunks(["id"]))["id"].astype("string").tolist() == ["7", pd.NA, "9"]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    table = source(tmp_path, pa.table({"a": [1], "b": [2], "id": [3]}))
    assert list(next(table.chunks(["id", "a"])).columns) == ["id", "a"]


def test_damage_is_refused_without_an_entry(tmp_path: Path) -> None:
    table = source(tmp_path, pa.table({"id": [SECRET] * 9}))
    path = tmp_path / "t.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert "not valid Parquet" in refusal(table)
    path.write_text(SECRET)
    assert "not valid Parquet" in refusal(table)
    path.unlink()
    assert "No such file" in refusal(table)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
    assert "column id stands twice" in refusal(source(tmp_path, twice))


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    assert "no column id" in refusal(source(tmp_path, pa.table({"a": [1]})))


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    table = source(tmp_path, pa.table({"id": list(range(100))}))
    reading = table.chunks(["id"], rows=10)
    next(reading)
    source(tmp_path, pa.table({"id": list(range(50))}))
    with pytest.raises(TableError, match="changed while it was read"):
        list(reading)
