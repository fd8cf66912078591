"""`wardround coordinator export` and `wardround verify`, as typed."""

import json
import tomllib
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from common.errors import RunFolderError, SettingsError
from common.publication.commands import verify
from common.publication.manifest import MODEL
from server.publishing.commands import export
from tests.publishing import coordinator, quick_run, study_of

pytestmark = pytest.mark.usefixtures("no_onnx")


def run(*words: str | Path) -> Result:
    app = typer.Typer()
    for command in (export, verify):
        app.command(command.__name__)(command)
    return CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)


def test_export_and_verify_go_round(tmp_path: Path) -> None:
    study = study_of()
    folder = coordinator(tmp_path / "c", study)
    key = folder.signer().public.hex()
    quick_run(tmp_path / "run", study)
    done = run("export", tmp_path / "run", "--output", tmp_path / "out", "--folder", folder.path)
    assert done.exit_code == 0
    assert f"Signed by {key}" in done.stdout
    assert "finished: wards, 4 of 4 rounds" in done.stdout
    grouped = " ".join(key[i : i + 4] for i in range(0, 64, 4)).upper()
    checked = run("verify", tmp_path / "out", "--key", grouped)
    assert checked.exit_code == 0
    lines = checked.stdout.splitlines()
    assert len(lines) == 11
    assert all(line.startswith("ok ") for line in lines)


def test_a_problem_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    run("export", tmp_path / "run", "--output", tmp_path / "out")
    (tmp_path / "out" / "evil\x1b[2J").write_text("")
    done = run("verify", tmp_path / "out")
    assert done.exit_code == 1
    assert "PROBLEM  files      not listed: evil?[2J" in done.stdout
    told = run("verify", tmp_path / "out", "--json")
    assert told.exit_code == 1
    about = json.loads(told.stdout)
    assert not about["ok"]
    assert [c["name"] for c in about["checks"] if not c["holds"]] == ["files"]


def test_unfinished_is_refused_and_then_shouted(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of(), stop_before=2)
    words = ("export", tmp_path / "run", "--output", tmp_path / "out")
    with pytest.raises(RunFolderError, match="--unfinished"):
        run(*words)
    assert not (tmp_path / "out").exists()
    assert run(*words, "--unfinished").stdout.startswith("UNFINISHED: wards, 1 of 4 rounds")
    assert "UNFINISHED" in run("verify", tmp_path / "out").stdout


def test_json_is_the_manifest(tmp_path: Path) -> None:
    quick_run(tmp_path / "run", study_of())
    done = run("export", tmp_path / "run", "--output", tmp_path / "out", "--json")
    about = json.loads(done.stdout)
    assert about["finished"]
    assert about["signer"] == ""
    assert MODEL in about["files"]


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    for key in ("abc", "g" * 64, " "):
        with pytest.raises(SettingsError, match="no public key"):
            run("verify", tmp_path, "--key", key)


def test_both_are_commands_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    groups = project["entry-points"]
    assert groups["wardround.commands"]["verify"] == f"{verify.__module__}:verify"
    assert groups["wardround.coordinator.commands"]["export"] == f"{export.__module__}:export"
