"""OMOP and FHIR, from files and databases, against plain loops over the same patients."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.source_settings import Cohort
from client.sources.base import Source
from client.sources.opening import open_source
from common.errors import SettingsError, TableError
from tests.client.sources import samples

KINDS = ("csv", "zip", "sqlite", "duckdb", "bundles", "ndjson")
COHORTS = (
    samples.COHORT,
    Cohort(index=("index", "visit"), lookback=0, outcome=1, washout=False),
    Cohort(index=("visit",), lookback=1000, outcome=400),
    Cohort(index="2016-03-01", lookback=300, outcome=100),
)


def source(kind: str, folder: Path, cohort: Cohort = samples.COHORT) -> Source:
    """Write the sample in one kind and open it."""
    persons = samples.patients()
    if kind == "bundles":
        samples.write_fhir(folder / "fhir", persons)
        return open_source(samples.fhir(cohort, path="fhir"), folder)
    if kind == "ndjson":
        samples.write_ndjson(folder / "fhir", persons)
        return open_source(samples.fhir(cohort, path="fhir"), folder)
    tables = samples.write_omop(folder / "cdm", persons)
    place = {"path": "cdm"}
    if kind == "zip":
        samples.write_zip(folder / "cdm.zip", tables)
        place = {"path": "cdm.zip"}
    elif kind == "sqlite":
        samples.write_sqlite(folder / "cdm.db", tables)
        place = {"url": "sqlite:///cdm.db"}
    elif kind == "duckdb":
        samples.write_duckdb(folder / "cdm.duckdb", tables)
        place = {"url": "duckdb:///cdm.duckdb", "cdm_schema": "cdm"}
    return open_source(samples.omop(cohort, **place), folder)


def rows_of(source: Source, rows: int = 50_000) -> pd.DataFrame:
    names = [each.name for each in source.columns()]
    return pd.concat(source.chunks(names, rows=rows), ignore_index=True)


def compare(found: pd.DataFrame, persons: Any, cohort: Cohort) -> None:
    wanted = samples.expected(persons, cohort)
    assert len(wanted) > 10
    assert wanted["label"].nunique() == 2
    assert list(found.columns) == list(wanted.columns)
    assert found["person_id"].tolist() == wanted["person_id"].tolist()
    for name in wanted.columns[1:]:
        got = [None if pd.isna(each) else each for each in found[name]]
        assert got == pytest.approx([None if pd.isna(e) else e for e in wanted[name]]), name


@pytest.mark.parametrize("cohort", COHORTS, ids=["first", "edge", "visit", "fixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_give_the_rows_of_plain_loops(kind: str, cohort: Cohort, tmp_path: Path) -> None:
    compare(rows_of(source(kind, tmp_path, cohort)), samples.patients(), cohort)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_carry_the_units_that_are_known(kind: str, tmp_path: Path) -> None:
    units = dict(source(kind, tmp_path).columns())
    assert list(units)[:3] == ["person_id", "sex", "age"]
    assert units["age"] == "years"
    assert units["last"] == "mm[Hg]"  # the most frequent
    assert units["kpa"] == "kPa"  # the one that is asked for
    assert (units["count"], units["label"]) == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_in_chunks_and_at_each_reading(kind: str, tmp_path: Path) -> None:
    opened = source(kind, tmp_path)
    whole = rows_of(opened)
    pd.testing.assert_frame_equal(rows_of(opened, rows=7), whole)
    some = pd.concat(opened.chunks(["label", "person_id"], rows=9), ignore_index=True)
    pd.testing.assert_frame_equal(some, whole[["label", "person_id"]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_leaves_nothing_behind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    opened = source(kind, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    rows_of(opened)
    next(opened.chunks(["age"], rows=1))  # and stops early
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_column_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no column bmi"):
        list(source(kind, tmp_path).chunks(["bmi"]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_is_told(kind: str, tmp_path: Path) -> None:
    opened = source(kind, tmp_path)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(TableError, match="cannot be read") as caught:
        opened.columns()
    assert caught.value.__context__ is None


def changed(given: Any, **changes: Any) -> Any:
    return type(given).model_validate(given.model_dump() | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cohort": {"index": "soon"}}, "neither a list"),
        ({"cohort": {"index": ()}}, "cohort.index has no concept"),
        ({"labels": ({"name": "age", "concepts": (1,)},)}, "age of source is named twice"),
        ({"labels": ({"name": "x", "concepts": ("a b",)},)}, "concept of x"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: Any, words: str, tmp_path: Path) -> None:
    spelt = {"labels": ({"name": "age", "concepts": ("a|b",)},)}
    for given in (samples.omop(path="."), samples.fhir(path=".")):
        more = changes
        if given.kind == "fhir" and changes.get("labels") and words.startswith("age"):
            more = spelt
        with pytest.raises(SettingsError, match=words):
            open_source(changed(given, **more), tmp_path)


def test_omop_needs_one_place_and_fhir_a_time_zone(tmp_path: Path) -> None:
    places: list[Any] = [{}, {"path": ".", "url": "sqlite:///x"}]
    for place in places:
        with pytest.raises(SettingsError, match="either path or url"):
            open_source(samples.omop(**place), tmp_path)
    with pytest.raises(SettingsError, match="time zone"):
        open_source(samples.fhir(path="."), tmp_path, timezone="Europe/Nowhere")
