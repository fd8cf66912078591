"""A hospital joins a served coordinator: what is written, and what is left as it was."""

import stat
import tomllib
from pathlib import Path

import pytest

from client.hospital import open_hospital
from client.identity import make_identity
from client.join.joining import join
from client.join.keys import public_in_use, read_node_key
from client.join.line import CoordinatorRefuses
from client.site_file import STATE
from common.certificates import flower_form
from common.errors import SettingsError
from common.study import Study, study_toml
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.study_commands import sign
from tests.coordinating import NOW, RememberingFleet, invited, make_folder


def test_a_hospital_joins_and_its_folder_is_complete(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path, ward_study: Study
) -> None:
    path, node = tmp_path / "study.toml", tmp_path / "ash"
    path.write_text(study_toml(ward_study))
    sign(path, folder=folder.path)
    joined = join(invited(folder).code, node, "Ash")
    assert (joined.study, joined.missing, joined.receipt.registered) == (True, {}, True)
    assert (node / "ca.crt").read_bytes() == folder.ca.read_bytes()
    assert stat.S_IMODE((node / "node.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((node / STATE).stat().st_mode) == 0o700
    assert fleet.welcome == {flower_form(read_node_key(node / "node.key").public)}
    rules = open_hospital(node).rules
    assert rules.coordinator.key == folder.signer().public.hex()
    assert rules.coordinator.address == f"localhost:{folder.settings.edge.port}"
    assert (node / "study.toml").read_text() == study_toml(ward_study)
    with pytest.raises(SettingsError, match="where the patients are"):
        _ = open_hospital(node).source


def test_private_keys_stay_at_the_hospital(folder: CoordinatorFolder, tmp_path: Path) -> None:
    join(invited(folder).code, tmp_path / "ash", "Ash")
    secret = make_identity(tmp_path / "ash" / STATE)
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
            assert secret.hex().encode() not in path.read_bytes()


def test_joining_twice_with_one_code_changes_nothing(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    word, node = invited(folder).code, tmp_path / "ash"
    first = join(word, node, "Ash")
    before = {p: p.read_bytes() for p in node.rglob("*") if p.is_file()}
    assert join(word, node, "Ash") == first
    assert {p: p.read_bytes() for p in node.rglob("*") if p.is_file()} == before
    assert len(fleet.known) == 1
    with pytest.raises(CoordinatorRefuses, match="used-invitation"):
        join(word, tmp_path / "elsewhere", "Ash")


def test_a_revoked_hospital_joins_again_with_the_same_identity_and_a_new_node_key(
    folder: CoordinatorFolder, fleet: RememberingFleet, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    first = join(invited(folder).code, node, "Ash")
    revoke(folder, "Ash", node_key=False, now=NOW)
    register_pending(folder, fleet)
    assert not fleet.welcome
    second = join(invited(folder).code, node, "Ash")
    assert (second.identity, second.node != first.node) == (first.identity, True)
    assert fleet.welcome == {flower_form(public_in_use(node / "node.key"))}
    assert not (node / "node.key.new").exists()


def test_an_existing_site_file_is_left_as_it_is_and_its_gaps_are_told(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    node.mkdir()
    text = '# ours\nschema = 1\nsite = "Ash"\n[source]\nkind = "file"\npath = "p.csv"\n'
    (node / "site.toml").write_text(text)
    joined = join(invited(folder).code, node, "Ash")
    assert (node / "site.toml").read_text() == text
    assert joined.missing == {
        "key": folder.signer().public.hex(),
        "address": f"localhost:{folder.settings.edge.port}",
    }
    with pytest.raises(SettingsError, match="of site Ash"):
        join(invited(folder, "Elm").code, node, "Elm")


def test_a_folder_of_another_coordinator_is_left_alone(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    node = tmp_path / "ash"
    node.mkdir()
    (node / "ca.crt").write_bytes(make_folder(tmp_path / "other").ca.read_bytes())
    with pytest.raises(SettingsError, match="another coordinator"):
        join(invited(folder).code, node, "Ash")
    assert not (node / STATE).exists()


def test_a_study_that_another_key_has_signed_is_not_written(
    folder: CoordinatorFolder, tmp_path: Path, ward_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.study.write_text(study_toml(ward_study))
    sign(folder.study, key=tmp_path / "other.key")
    monkeypatch.setattr("server.coordinator.service.read_signed_study", lambda path, key: None)
    with pytest.raises(SettingsError, match="another key"):
        join(invited(folder).code, tmp_path / "ash", "Ash")
    assert not (tmp_path / "ash" / "study.toml").exists()
    assert not list((tmp_path / "ash").glob("tmp*"))


def test_the_written_site_file_is_toml_whatever_the_name(
    folder: CoordinatorFolder, tmp_path: Path
) -> None:
    name = 'Sankt "Jürgen" \\ #1'
    join(invited(folder, name).code, tmp_path / "j", name)
    assert tomllib.loads((tmp_path / "j" / "site.toml").read_text())["site"] == name
