"""`wardround node approve`, `withdraw`, `audit` and `wardround coordinator sign`, as typed."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from common.cli import make_app
from common.errors import PrivacyError, SettingsError
from common.signed_study import read_signed_study
from common.study import Study, study_toml
from server.coordinator.bundle import make_bundle
from tests.hospital import COORDINATOR, hospital

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, study: Study, table: pd.DataFrame) -> Path:
    hospital(tmp_path / "ash", study, table, name="Ash", approved=False)
    return tmp_path / "ash"


def run(*words: str, typed: str = "") -> str:
    result = CliRunner().invoke(make_app(), [*words], input=typed, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def approve(folder: Path, *more: str, typed: str = "") -> str:
    study = str(folder / "study.toml")
    words = ("node", "approve", study, "--folder", str(folder), "--cohort", "2026")
    return run(*words, *more, typed=typed)


def test_a_study_is_shown_in_plain_words_and_approved_by_typing_its_id(
    folder: Path, study: Study
) -> None:
    text = approve(folder, typed=study.id[:12] + "\n")
    for words in (
        f"id {study.id}",
        "3 sites: Ash (you), Birch, Cedar.",
        "measurements age, marker, sex;",
        "in 2 rounds, and up to 0 that fail.",
        "noise of 2.5 is added to every number before it leaves.",
        "Not protected: Single updates",
        "Cohort 2026 has 20.000 left of 20",
        "All are kept.",
        "Approved until 20",
    ):
        assert words in text, words


@pytest.mark.parametrize("typed", ["y", "yes", "0" * 12, "0" * 64])
def test_anything_else_typed_is_no_yes(typed: str, folder: Path) -> None:
    with pytest.raises(SettingsError, match="not the id"):
        approve(folder, typed=typed + "\n")
    assert not list((folder / "state").glob("approvals/*"))


def test_without_being_asked_the_hash_must_be_typed(folder: Path, study: Study) -> None:
    with pytest.raises(SettingsError, match="not the id"):
        approve(folder, "--yes", study.id[:11])
    made = json.loads(approve(folder, "--yes", study.id, "--json"))
    assert made["approved"]
    assert made["study"] == study.id


def test_limits_that_object_are_shown_and_end_in_an_error(folder: Path, study: Study) -> None:
    path = folder / "site.toml"
    path.write_text(path.read_text().replace("[limits]", "[limits]\nmax_rounds = 1"))
    with pytest.raises(PrivacyError, match="rounds is 2; max_rounds is 1"):
        approve(folder, "--yes", study.id)


def test_a_yes_is_taken_back(folder: Path, study: Study) -> None:
    approve(folder, "--yes", study.id)
    assert "Withdrawn" in run("node", "withdraw", study.id[:12], "--folder", str(folder))
    text = run("node", "audit", "--folder", str(folder))
    assert "Verified: 2 lines" in text
    assert "withdrawn" in text
    shown = json.loads(run("node", "audit", "--folder", str(folder), "--json"))
    assert [line["kind"] for line in shown["lines"]] == ["approved", "withdrawn"]


def test_an_altered_audit_log_ends_the_command_with_its_line(folder: Path, study: Study) -> None:
    approve(folder, "--yes", study.id)
    path = folder / "state" / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"approved", b"approvad", 1))
    with pytest.raises(PrivacyError, match="line 1"):
        run("node", "audit", "--folder", str(folder))


def test_a_coordinator_signs_what_a_hospital_then_reads(tmp_path: Path, study: Study) -> None:
    path, key = tmp_path / "study.toml", tmp_path / "keys" / "coordinator.key"
    path.write_text(study_toml(study))
    text = run("coordinator", "sign", str(path), "--key", str(key))
    public = text.split()[-1]
    assert key.stat().st_mode & 0o777 == 0o600
    signed = read_signed_study(path, key=public)
    assert signed.study == study
    assert signed.seal.bundle == hashlib.sha256(make_bundle()).hexdigest()
    with pytest.raises(SettingsError, match="another key"):
        read_signed_study(path, key=COORDINATOR.public.hex())
