"""The roster: drafted by the coordinator, decided by hospitals."""

from datetime import timedelta
from pathlib import Path

import pytest

from client.hospital import Hospital
from client.join import rosters as hospital_side
from client.join.joining import join
from common.errors import SettingsError
from common.privacy.masking.roster import read_roster
from common.study import Study, make_study
from server.coordinator import rosters
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from tests.client.join.rosters import NAMES, TODAY, draft, enrolled, run
from tests.conftest import ward_settings
from tests.coordinating import NOW, invited


def test_a_first_roster_is_in_use_once_all_have_signed(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> None:
    roster = draft(folder, study)
    shown = [run(wards[name], roster.hash) for name in NAMES]
    assert "Not in use yet" in shown[0]
    assert "Not in use yet" in shown[1]
    assert "In use" in shown[2]
    assert not wards["Ash"].roster.exists()
    assert "In use" in run(wards["Ash"], "not asked again")
    for name in ("Ash", "Cedar"):
        kept = read_roster(wards[name].roster.read_text(), where="test")
        assert kept.roster == roster
        assert (wards[name].state / "roster.json").exists()
    assert {s.name: s.weight for s in roster.sites} == {"Ash": 1.0, "Birch": 2.0, "Cedar": 0.5}


def test_the_coordinator_has_the_roster_in_force_for_its_server(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> None:
    first = draft(folder, study)
    run(wards["Ash"], first.hash)
    assert rosters.write_roster(folder, today=TODAY) is None
    for name in NAMES[1:]:
        run(wards[name], first.hash)
    path = rosters.write_roster(folder, today=TODAY)
    assert path is not None
    assert read_roster(path.read_text(), where="test").roster == first
    late = TODAY + timedelta(days=366)
    assert draft(folder, study, today=late).epoch == 2
    assert rosters.in_force(folder, today=late) is None  # its keys are no longer valid
    force = rosters.in_force(folder, today=TODAY)
    assert force is not None
    assert force.roster == first


def test_it_is_signed_by_typing_its_hash_and_nothing_else(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> None:
    roster = draft(folder, study)
    for wrong in ("yes", roster.hash[:11], "0" * 64):
        with pytest.raises(SettingsError, match="not the hash"):
            run(wards["Ash"], wrong)
    assert rosters.votes(folder, roster) == {}
    spaced = f"{roster.hash[:8].upper()} {roster.hash[8:16]}"
    assert "Signed" in run(wards["Ash"], spaced)
    assert set(rosters.votes(folder, roster)) == {"Ash"}


def test_the_draft_is_of_those_who_have_joined(
    folder: CoordinatorFolder, study: Study, tmp_path: Path
) -> None:
    enrolled(folder, tmp_path, "Ash")
    with pytest.raises(SettingsError, match="not joined yet: Birch, Cedar"):
        draft(folder, study)
    with pytest.raises(SettingsError, match="no sites"):
        draft(folder, make_study(ward_settings(), where="test"))


def test_the_same_members_are_the_same_epoch(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> None:
    first = draft(folder, study)
    assert draft(folder, study) == first
    later = draft(folder, study, today=TODAY + timedelta(days=366))
    assert (later.epoch, later.federation) == (2, first.federation)


def test_a_hospital_with_a_new_identity_is_a_new_epoch_and_the_old_key_is_void(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study, tmp_path: Path
) -> None:
    first = draft(folder, study)
    for name in NAMES:
        run(wards[name], first.hash)
    run(wards["Ash"], "")
    run(wards["Birch"], "")
    revoke(folder, "Cedar", node_key=False, now=NOW)
    join(invited(folder, "Cedar").code, tmp_path / "cedar-again", "Cedar")
    second = draft(folder, study)
    assert second.epoch == 2
    assert second.revoked == (first.sites[2].public_key,)
    shown = run(wards["Ash"], second.hash)
    assert "Cedar (ANOTHER KEY THAN BEFORE)" in shown
    assert "In use" not in shown
    assert "In use" in run(wards["Birch"], second.hash)  # two thirds of the hospitals of epoch 1


def test_without_a_draft_there_is_nothing_to_sign(wards: dict[str, Hospital]) -> None:
    with pytest.raises(SettingsError, match="no-roster"):
        hospital_side.fetch(wards["Ash"])
