"""docs/sources.md: every example is a valid site.toml and runs on generated data."""

import re
import sqlite3
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from client.site_file import SITE_FILE, read_site_file
from client.source_settings import (
    Cohort,
    EventFeature,
    EventLabel,
    FhirSource,
    FileSource,
    OmopSource,
    SqlSource,
)
from client.sources.opening import open_source
from tests.client.sources import samples

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ROWS = [("007", 50, "Grün"), ("7", 60, "F")]


def hospital(folder: Path) -> None:
    """All that the examples name."""
    export = folder / "export"
    export.mkdir()
    text = "id;age;sex\n" + "".join(f"{a};{b};{c}\n" for a, b, c in ROWS)
    (export / "patients.csv").write_text(text, encoding="latin-1")
    create = "CREATE TABLE patients (id TEXT, age INTEGER, sex TEXT)"
    with sqlite3.connect(folder / "ward.db") as one:
        one.execute(create)
        one.executemany("INSERT INTO patients VALUES (?, ?, ?)", ROWS)
    one.close()
    with duckdb.connect(str(folder / "ward.duckdb")) as other:
        other.execute(create)
        other.executemany("INSERT INTO patients VALUES (?, ?, ?)", ROWS)
    (folder / "database.password").write_text("secret")
    (folder / "database.password").chmod(0o600)
    persons = samples.patients()
    samples.write_zip(export / "cdm.zip", samples.write_omop(folder / "tables", persons))
    samples.write_fhir(export / "fhir", persons)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, tmp_path: Path) -> None:
    hospital(tmp_path)
    (tmp_path / SITE_FILE).write_text(example)
    site = read_site_file(tmp_path)
    assert site.source is not None
    source = open_source(site.source, tmp_path, timezone=site.rows.timezone)
    if "postgresql" in source.where:
        pytest.skip("tests/client/sources/test_postgres.py has a server")
    names = [each.name for each in source.columns()]
    frame = pd.concat(source.chunks(names))
    if isinstance(site.source, (FileSource, SqlSource)):
        assert frame["id"].tolist() == ["007", "7"]
        assert frame["sex"].tolist() == ["Grün", "F"]
    else:
        assert len(frame) > 10
        assert frame["infarction"].nunique() == 2
        assert frame["sbp"].notna().any()


def test_there_is_an_example_of_every_kind() -> None:
    kinds = set(re.findall(r'^kind = "(\w+)"', PAGE, re.MULTILINE))
    assert kinds == {"file", "sql", "omop", "fhir"}
    assert len(EXAMPLES) == 6


def test_every_setting_is_explained() -> None:
    parts = (FileSource, SqlSource, OmopSource, FhirSource, Cohort, EventFeature, EventLabel)
    for part in parts:
        for name in set(part.model_fields) - {"kind", "name"}:
            prefix = {"Cohort": "cohort.", "EventFeature": "features.", "EventLabel": "labels."}
            assert f"`{prefix.get(part.__name__, '')}{name}`" in PAGE, f"{part.__name__}.{name}"
