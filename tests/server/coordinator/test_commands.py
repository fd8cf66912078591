"""`wardround coordinator init`, `invite`, `revoke`, `roster`, `sign`, as typed."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from common.errors import SettingsError
from common.invitation import Invitation
from common.signed_study import read_signed_study
from common.study import Study, study_toml
from server.coordinator import commands, enrolling
from server.coordinator.folder import CoordinatorFolder, open_folder
from server.study_commands import sign
from tests.coordinating import NOW, ward


def run(*words: str | Path) -> str:
    app = typer.Typer()
    for command in (commands.init, commands.invite, commands.revoke, commands.roster, sign):
        app.command(command.__name__)(command)
    return CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False).stdout


@pytest.fixture
def folder(tmp_path: Path) -> CoordinatorFolder:
    run("init", tmp_path / "c", "--name", "wards", "--host", "wards.example", "--host", "10.1.2.3")
    return open_folder(tmp_path / "c")


def test_init_prints_what_is_public_and_nothing_that_is_secret(tmp_path: Path) -> None:
    words = ("--name", "wards", "--host", "wards.example", "--port", "9443")
    shown = run("init", tmp_path / "c", *words)
    folder = open_folder(tmp_path / "c")
    assert "https://wards.example:9443" in shown
    assert folder.authority in shown.replace(" ", "")
    assert folder.signer().public.hex() in shown
    for name in ("coordinator.key", "superexec.secret"):
        assert (folder.path / name).read_bytes().hex() not in shown
    assert "PRIVATE" not in shown


def test_a_second_init_is_refused(folder: CoordinatorFolder) -> None:
    with pytest.raises(SettingsError, match="not empty"):
        run("init", folder.path, "--name", "wards", "--host", "wards.example")


def test_an_invitation_is_one_word_on_stdout_and_listed_without_its_secret(
    folder: CoordinatorFolder,
) -> None:
    word = run("invite", "Ash", "--folder", folder.path).strip()
    made = Invitation.read(word)
    assert made.address == "wards.example:8443"
    assert made.authority == folder.authority
    shown = run("invite", "--list", "--folder", folder.path)
    assert re.search(r"invitation  open      Ash, until \d{4}-", shown)
    assert word not in shown
    assert made.secret.hex() not in shown
    told = json.loads(run("invite", "--list", "--json", "--folder", folder.path))
    assert [one["state"] for one in told["invitations"]] == ["open"]


def test_members_are_listed_with_what_is_compared(folder: CoordinatorFolder) -> None:
    code = Invitation.read(run("invite", "Ash", "--folder", folder.path))
    ash = ward()
    enrolling.join(folder, ash.application(code), now=NOW)
    shown = run("invite", "--list", "--folder", folder.path)
    assert "invitation  used" in shown
    assert ash.identity.public.hex() in shown.replace(" ", "")
    assert "Flower is told when it is up" in shown
    gone = run("revoke", "Ash", "--folder", folder.path)
    assert "its membership, its node key" in gone
    assert "not up" not in gone  # it was never told of the key, so there is nothing to take back
    assert "site        revoked   Ash" in run("invite", "--list", "--folder", folder.path)


def test_revoking_a_key_that_flower_knows_waits_for_the_superlink(
    folder: CoordinatorFolder,
) -> None:
    from server.coordinator.fleet import register_pending
    from tests.coordinating import RememberingFleet

    code = Invitation.read(run("invite", "Ash", "--folder", folder.path))
    enrolling.join(folder, ward().application(code), now=NOW)
    fleet = RememberingFleet()
    register_pending(folder, fleet)
    assert "as soon as" in run("revoke", "Ash", "--node-key", "--folder", folder.path)
    register_pending(folder, fleet)
    assert not fleet.welcome


def test_invite_needs_a_name(folder: CoordinatorFolder) -> None:
    with pytest.raises(SettingsError, match="no site is named"):
        run("invite", "--folder", folder.path)


def test_a_study_is_signed_with_the_folders_key_and_served(
    folder: CoordinatorFolder, ward_study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study_toml(ward_study))
    shown = run("sign", path, "--folder", folder.path)
    key = folder.signer().public.hex()
    assert key in shown
    for place in (path, folder.study):
        assert read_signed_study(place, key=key).study == ward_study
    both: list[str | Path] = ["--folder", folder.path, "--key", tmp_path / "k"]
    for wrong in (both[:0], both):
        with pytest.raises(SettingsError, match="whose key"):
            run("sign", path, *wrong)


def test_a_roster_needs_members(
    folder: CoordinatorFolder, ward_study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study_toml(ward_study.model_copy(update={"sites": ()})))
    with pytest.raises(SettingsError, match="names no sites"):
        run("roster", "--folder", folder.path, "--study", path)


def test_a_roster_is_drafted_and_shown(
    folder: CoordinatorFolder, ward_study: Study, tmp_path: Path
) -> None:
    from common.study import StudySite

    names, path = ("Ash", "Elm"), tmp_path / "study.toml"
    for name in names:
        code = Invitation.read(run("invite", name, "--folder", folder.path))
        enrolling.join(folder, ward(name).application(code), now=NOW)
    sites = tuple(StudySite(name=name, weight=2.0) for name in names)
    path.write_text(study_toml(ward_study.model_copy(update={"sites": sites})))
    run("sign", path, "--folder", folder.path)
    shown = run("roster", "--folder", folder.path)
    assert "Roster of wards, epoch 1" in shown
    assert "unsigned  Elm, weight 2" in shown
    assert "In force: none yet" in shown
    told = json.loads(run("roster", "--folder", folder.path, "--json"))
    assert (told["epoch"], told["in_force"], told["signed"]) == (1, None, [])
