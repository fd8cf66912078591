import json
import stat
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from client.mapping.commands import check, map_columns
from client.mapping.map_report import show
from client.mapping.site_text import ABOUT, append_rules
from client.site_file import SiteFile, read_site_file
from common.errors import SettingsError
from common.study import study_toml
from tests.client.mapping.hospital import Fake, study, ward

Capture = pytest.CaptureFixture[str]
CANARY = "canary-4711"


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake(ward(sbp=["16", "18.1", "17", "15.5", "21", "?", "16.2", "17.9"]))
    monkeypatch.setattr("client.mapping.commands._open", lambda rules, folder: fake)
    return fake


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(study_toml(study()))
    return path


def mapped(capsys: Capture, folder: Path, asked: Path, **options: Any) -> dict[str, Any]:
    capsys.readouterr()
    map_columns(folder=folder, study=asked, as_json=True, **options)
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def keys_of(part: Any) -> set[str]:
    return {field.alias or name for name, field in part.model_fields.items()}


@pytest.mark.usefixtures("source")
def test_a_first_site_toml_is_whole_strict_and_its_owner_s_alone(
    tmp_path: Path, asked: Path, capsys: Capture
) -> None:
    found = mapped(capsys, tmp_path / "node", asked, site='A"sh', path="ward.csv")
    path = tmp_path / "node" / "site.toml"
    assert found["wrote"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rules = read_site_file(tmp_path / "node")
    strict = SiteFile.model_validate(
        {"schema": 1, "site": 'A"sh', "source": {"kind": "file", "path": "ward.csv"}}
    )
    assert rules.limits == strict.limits
    assert rules.rows == strict.rows.model_copy(update={"missing": ("?",)})
    assert {rule.study: rule.unit for rule in rules.columns}["sbp"] == "kPa"
    text = path.read_text()
    assert "# 100% of the numbers are usual as kPa, 0% as mm[Hg]" in text
    for part in ("coordinator", "rows", "limits"):
        for key in keys_of(SiteFile.model_fields[part].annotation):
            assert f"\n{key} = " in text or f"\n# {key} = " in text
            assert ABOUT[part][key] in text


@pytest.mark.usefixtures("source")
def test_an_engineer_s_file_is_appended_to_and_never_rewritten(
    tmp_path: Path, asked: Path, capsys: Capture
) -> None:
    path = tmp_path / "site.toml"
    mine = """schema = 1
site = "Ash"  # us
columns = []
[source]
kind = "file"
path = "ward.csv"
"""
    path.write_text(mine)
    with pytest.raises(SettingsError, match="as \\[\\[columns\\]\\] tables"):
        mapped(capsys, tmp_path, asked, write=True)
    assert path.read_text() == mine
    mine = mine.replace("columns = []\n", "") + '[[columns]]\nstudy = "sbp"\nlocal = "sbp"\n'
    path.write_text(mine + "[rows]\nimpossible = 'missing'\n\n\n")
    before = path.read_text()
    found = mapped(capsys, tmp_path, asked)
    assert (found["wrote"], found["to_write"]) == (False, 6)
    assert path.read_text() == before
    assert mapped(capsys, tmp_path, asked, write=True)["wrote"]
    assert path.read_text().startswith(before.rstrip("\n"))
    rules = read_site_file(tmp_path)
    assert len(rules.columns) == 7
    assert rules.columns[0].unit == ""  # the engineer's own rule
    assert rules.rows.impossible == "missing"
    again = mapped(capsys, tmp_path, asked, write=True)
    assert (again["wrote"], again["to_write"]) == (False, 0)


def test_the_table_says_what_is_open_and_what_next(
    tmp_path: Path, asked: Path, capsys: Capture, source: Fake
) -> None:
    rows = dict(source.rows)
    del rows["chol"]
    source.rows = rows
    map_columns(folder=tmp_path / "node", study=asked, site="Ash", path="ward.csv")
    out = capsys.readouterr().out
    assert out.startswith("Read on this machine only; nothing has left the hospital.")
    assert "Open: chol. Add [[columns]] for them" in out
    assert "OPEN" in out
    assert '# study = "chol"' in (tmp_path / "node" / "site.toml").read_text()


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "--site does not say enough"),
        ({"site": "Ash"}, "--path does not say enough"),
        ({"site": "Ash", "source_kind": "omop"}, "--source-kind omop does not say enough"),
        ({"site": "Ash", "path": "x", "separator": "ab"}, "separator"),
    ],
)
def test_a_first_file_needs_a_site_and_a_source(
    tmp_path: Path, asked: Path, capsys: Capture, options: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        mapped(capsys, tmp_path, asked, **options)
    assert words in str(caught.value)
    assert not (tmp_path / "site.toml").exists()


@pytest.mark.usefixtures("source")
def test_a_node_that_has_joined_is_told_where_its_patients_are(
    tmp_path: Path, asked: Path, capsys: Capture
) -> None:
    joined = 'schema = 1\nsite = "Ash"  # ours\n\n[coordinator]\naddress = "wards.example:8443"\n'
    (tmp_path / "site.toml").write_text(joined)
    with pytest.raises(SettingsError, match="--path does not say enough"):
        mapped(capsys, tmp_path, asked)
    mapped(capsys, tmp_path, asked, path="ward.csv", write=True)
    assert (tmp_path / "site.toml").read_text().startswith(joined)
    rules = read_site_file(tmp_path)
    assert (rules.site, rules.source and rules.source.kind) == ("Ash", "file")
    assert rules.columns


PLACES: list[dict[str, Sequence[Any]]] = [
    {"patient_id": [CANARY] * 8},
    {"age": [CANARY] * 8},
    {"sbp": [CANARY] * 8},
    {"smokes": [CANARY] * 8},
    {"sex": [CANARY] * 8},
    {"icd": [CANARY] * 8},
    {"note": [CANARY] * 8},
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: next(iter(place)))
@pytest.mark.parametrize("as_json", [True, False])
def test_no_entry_of_a_patient_is_written_or_shown(
    tmp_path: Path,
    asked: Path,
    capsys: Capture,
    source: Fake,
    place: dict[str, Sequence[Any]],
    as_json: bool,
) -> None:
    source.rows = ward(**place)
    node = tmp_path / "node"
    map_columns(folder=node, study=asked, site="Ash", path="ward.csv", as_json=as_json)
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err + (node / "site.toml").read_text()


def test_odd_names_survive_as_toml(tmp_path: Path) -> None:
    from client.mapping.columns import Wanted
    from client.mapping.proposing import Proposal
    from client.site_file import ColumnRule

    path = tmp_path / "site.toml"
    path.write_text('schema = 1\nsite = "Ash"\n[source]\nkind = "file"\npath = "x"\n')
    odd = 'a "b"\\\n\x7f\t=# é\N{GRINNING FACE}'
    rule = ColumnRule(study="age", local=odd, values={odd: odd}, missing=("?", 0, True))
    append_rules(tmp_path, [Proposal(Wanted("age", "feature"), rule, False, ("why\nnot",))])
    (back,) = read_site_file(tmp_path).columns
    assert back == rule
    assert tomllib.loads(path.read_text())


def test_check_writes_its_page_and_ends_with_1_on_a_problem_alone(
    tmp_path: Path, asked: Path, capsys: Capture, source: Fake
) -> None:
    site = 'schema = 1\nsite = "Ash"\n[source]\nkind = "file"\npath = "x"\n'
    (tmp_path / "site.toml").write_text(site)
    page = tmp_path / "reports" / "check.html"
    with pytest.raises(typer.Exit) as ended:  # the kilopascals, and a limit of 100 patients
        check(folder=tmp_path, study=asked, html=page, as_json=True)
    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "problem"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    (tmp_path / "site.toml").write_text(site + "[limits]\nmin_patients = 5\n")
    source.rows = ward()
    check(folder=tmp_path, study=asked)
    assert "All is well." in capsys.readouterr().out


def test_importing_the_commands_is_quick() -> None:
    code = "import sys, client.mapping.commands; print(len({'pandas', 'pandera'} & {*sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"


def test_no_word_of_the_table_is_cut_off_on_a_narrow_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    why = ["no column has a name like it", "out of the plausible range"]
    column = {"study": "creatinine", "unit": "mg/dL", "local": "", "rule": "open", "unit_here": ""}
    found = {"columns": [{**column, "usable": None, "missing": None, "why": why}]}
    show({**found, "site_toml": "site.toml", "to_write": 0, "wrote": False, "open": ["creatinine"]})
    shown = capsys.readouterr().out.split()
    assert set("; ".join(why).split()) <= set(shown)
