import sys
from pathlib import Path

import pandas as pd
import pytest

from client.table import read_table
from common.errors import TableError

SECRET = "4711.25"  # an entry that no error may quote


def test_a_csv_file_keeps_entries_as_text_and_repeated_headers_apart(tmp_path: Path) -> None:
    path = tmp_path / "T.CSV"
    path.write_bytes(b"\xef\xbb\xbfid, age ,age\n007,1,2\n7,None,NA\n")  # with a byte order mark
    frame = read_table(path)
    assert list(frame.columns) == ["id", "age", "age"]
    assert frame["id"].tolist() == ["007", "7"]
    assert frame.iloc[1, 1] == "None"
    assert frame.isna().to_numpy().sum() == 1


def unreadable(path: Path) -> str:
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", f"a,b\n1,2\n{SECRET},2,3,4\n"),  # more entries than columns
        ("t.csv", "a,b\n\udcff\n"),  # no UTF-8
        ("t.parquet", SECRET),
    ],
)
def test_a_damaged_file_is_refused_without_its_content(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert "cannot be read" in unreadable(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "No such file" in unreadable(tmp_path / "t.csv")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    assert "save it as .csv or .parquet" in unreadable(tmp_path / "t.xlsx")


@pytest.mark.parametrize("content", ["", "a,b\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    assert "no rows" in unreadable(tmp_path / "t.csv")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    def read_parquet(path: Path) -> None:
        import pyarrow  # noqa: F401 (as pandas does)

    monkeypatch.setattr(pd, "read_parquet", read_parquet)
    assert "pip install 'wardround[node]'" in unreadable(tmp_path / "t.parquet")
