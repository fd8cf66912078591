import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from client.source_settings import FileSource
from client.sources.base import LocalColumn, Source
from client.sources.opening import open_source
from common.errors import SettingsError, TableError

SECRET = "4711.25"  # an entry that no error may quote


def source(folder: Path, content: bytes, **settings: str) -> Source:
    (folder / "t.csv").write_bytes(content)
    return open_source(FileSource.model_validate({"path": "t.csv"} | settings), folder)


def everything(source: Source, *columns: str, rows: int = 50_000) -> pd.DataFrame:
    return pd.concat(source.chunks(columns or ("id", "age"), rows=rows), ignore_index=True)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TableError) as caught:
        call()
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_entries_stay_text_and_only_what_counts_as_missing_is(tmp_path: Path) -> None:
    table = source(tmp_path, b"\xef\xbb\xbfid, age \n007,1\n7,NA\n7.0,None\n")
    assert table.columns() == [LocalColumn("id"), LocalColumn("age")]
    frame = everything(table)
    assert frame["id"].tolist() == ["007", "7", "7.0"]
    assert frame["age"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 100])
def test_chunks_hold_all_rows_in_the_order_of_the_file(tmp_path: Path, rows: int) -> None:
    table = source(tmp_path, b"id,age\n" + b"".join(b"%d,x\n" % i for i in range(7)))
    chunks = list(table.chunks(["age", "id"], rows=rows))
    assert [len(each) for each in chunks[:-1]] == [rows] * (len(chunks) - 1)
    assert list(chunks[0].columns) == ["age", "id"]
    assert pd.concat(chunks)["id"].tolist() == list("0123456")


def test_encoding_separator_and_quotes_are_as_set(tmp_path: Path) -> None:
    text = 'id;age\n"a;b";"two\nlines"\nGrün;"say ""ah"""\n'
    for encoding in ("latin-1", "utf-16", "utf-8"):
        table = source(tmp_path, text.encode(encoding), encoding=encoding, separator=";")
        frame = everything(table)
        assert frame["id"].tolist() == ["a;b", "Grün"]
        assert frame["age"].tolist() == ["two\nlines", 'say "ah"']


def test_a_column_asked_for_twice_comes_once(tmp_path: Path) -> None:
    frame = next(source(tmp_path, b"id,age\n1,2\n").chunks(["id", "id"]))
    assert list(frame.columns) == ["id"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"id,age\n1,2\n{SECRET},2,3\n", "row 2 has 3 of the 2 entries"),
        (f"id,age\n1,2\n{SECRET}\n", "row 2 has 1 of the 2 entries"),
        (f"id,age\n1,2\n{SECRET},\udcff\n", "is not utf-8-sig (line 3)"),
        (f"id,age\n1,{SECRET}\0\n", "holds a NUL byte (line 2)"),
        (f'id,age\n1,"{SECRET}\n2,3\n', "a quote is opened and never closed"),
        (f"{SECRET},{SECRET}\n1,2\n", "the name of column 1 stands twice"),
        (f"{SECRET}, \n1,2\n", "column 2 has no name"),
        ("", "not valid CSV"),
        ("id,sex\n1,M\n", "there is no column age"),
    ],
)
def test_a_damaged_table_is_refused_without_its_entries(
    tmp_path: Path, content: str, words: str
) -> None:
    table = source(tmp_path, content.encode(errors="surrogateescape"))
    assert words in refusal(lambda: everything(table))


def test_damage_far_into_a_file_is_found_with_its_row(tmp_path: Path) -> None:
    rows = b"".join(b"%08d,1234567890\n" % i for i in range(600_000))  # more than one block
    table = source(tmp_path, b"id,age\n" + rows + SECRET.encode() + b"\n")
    assert "row 600001 has 1 of the 2" in refusal(lambda: [0 for _ in table.chunks(["id"])])


def test_a_header_alone_has_columns_and_no_rows(tmp_path: Path) -> None:
    table = source(tmp_path, b"id,age\n")
    assert len(table.columns()) == 2
    assert list(table.chunks(["id"])) == []


def test_a_vanished_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    table = source(tmp_path, b"id\n1\n")
    path = tmp_path / "t.csv"
    path.unlink()
    assert "No such file" in refusal(table.columns)
    path.mkdir()
    assert "Is a directory" in refusal(table.columns)
    path.rmdir()
    os.mkfifo(path)
    assert "no file" in refusal(table.columns)


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = source(tmp_path, b"id\n1\n")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", SECRET)

    monkeypatch.setattr("client.sources.files.os.open", refuse)
    assert "Permission denied" in refusal(table.columns)


@pytest.mark.parametrize("change", ["append", "truncate", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    rows = b"".join(b"%08d,1234567890\n" % i for i in range(700_000))
    table = source(tmp_path, b"id,age\n" + rows)
    path = tmp_path / "t.csv"
    reading = table.chunks(["id"], rows=1000)
    next(reading)
    if change == "append":
        with path.open("ab") as file:
            file.write(b"9,9\n")
    elif change == "truncate":
        os.truncate(path, 5_000_003)  # in the middle of a row
    elif change == "replace":
        (tmp_path / "new").write_bytes(b"id,age\n1,2\n")
        (tmp_path / "new").replace(path)
    else:
        path.unlink()
    assert "changed while it was read" in refusal(lambda: list(reading))


@pytest.mark.parametrize(
    "settings", [{"separator": '"'}, {"separator": "€"}, {"encoding": "utf-99"}, {"path": "t.xlsx"}]
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        source(tmp_path, b"id\n1\n", **settings)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Two million rows, 260 MB: Arrow's own pool and Python's heap stay under 60 MB."""
    import pyarrow as pa

    rows = b"".join(b"%09d,%d,%s\n" % (i, i % 90, b"x" * 120) for i in range(20_000))
    (tmp_path / "t.csv").write_bytes(b"id,age,note\n" + rows * 100)
    table = open_source(FileSource(path="t.csv"), tmp_path)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    highest, count = 0, 0
    for chunk in table.chunks(["id", "age"]):
        count += len(chunk)
        highest = max(highest, pa.total_allocated_bytes() - before)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (tmp_path / "t.csv").unlink()
    assert count == 2_000_000
    assert highest + held < 60e6
