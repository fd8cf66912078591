import os
from pathlib import Path
from typing import Any

import pytest

from client.source_settings import SqlSource
from client.sources.database import Database, database_of
from client.sources.opening import open_source
from common.errors import SettingsError

SECRET = "hunter2-4711"
URL = "postgresql+psycopg://reader@db/ward"


def database(folder: Path, **settings: Any) -> Database:
    return database_of(SqlSource(**{"url": URL, "table": "p"} | settings), folder)


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        database(folder, **settings)
    assert SECRET not in str(caught.value) + repr(caught.value.__context__)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://reader:{SECRET}@db/ward",
        f"postgresql://reader@db/ward?password={SECRET}",
        f"postgresql://reader:{SECRET}@db:port/ward",
        f"{SECRET}",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_quoted(tmp_path: Path, url: str) -> None:
    assert "source.url" in refusal(tmp_path, url=url)


def test_the_password_of_the_environment_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARD_PASSWORD", SECRET)
    found = database(tmp_path, password_env="WARD_PASSWORD")
    assert found.password() == SECRET
    source = open_source(SqlSource(url=URL, table="p", password_env="WARD_PASSWORD"), tmp_path)
    for shown in (repr(found), str(vars(found)), repr(source), str(vars(source)), source.where):
        assert SECRET not in shown


def test_an_empty_environment_is_refused(tmp_path: Path) -> None:
    assert "WARD_PASSWORD holds no password" in refusal(tmp_path, password_env="WARD_PASSWORD")


def test_a_password_file_is_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    assert "No such file" in refusal(tmp_path, password_file="password")
    path.write_text(SECRET + "\n")
    for mode in (0o644, 0o640, 0o602):
        path.chmod(mode)
        assert "is open to others" in refusal(tmp_path, password_file="password")
    path.chmod(0o600)
    assert database(tmp_path, password_file="password").password() == SECRET
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert "belongs to somebody else" in refusal(tmp_path, password_file="password")
    monkeypatch.undo()
    path.write_text("")
    assert "is empty" in refusal(tmp_path, password_file="password")


def test_two_places_for_one_password_are_refused(tmp_path: Path) -> None:
    assert "both" in refusal(tmp_path, password_env="A", password_file="b")


@pytest.mark.parametrize("what", [{}, {"table": "p", "query": "SELECT 1"}])
def test_a_source_has_a_table_or_a_query(tmp_path: Path, what: dict[str, str]) -> None:
    for url in (URL, "duckdb:///w.duckdb"):
        with pytest.raises(SettingsError, match="either table or query"):
            open_source(SqlSource.model_validate({"url": url} | what), tmp_path)


def test_a_driver_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    source = open_source(SqlSource(url="postgresql+psycopg2://r@db/w", table="p"), tmp_path)
    with pytest.raises(SettingsError, match=r"pip install 'wardround\[postgres\]'"):
        source.columns()


def test_a_database_without_read_only_transactions_is_refused(tmp_path: Path) -> None:
    source = open_source(SqlSource(url="mssql+pyodbc://r@db/w", table="p"), tmp_path)
    with pytest.raises(SettingsError, match="read-only transaction"):
        list(source.chunks(["id"]))
