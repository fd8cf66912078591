"""The roster: drafted by the coordinator, decided by hospitals; whatever it changes is noticed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from client.hospital import Hospital, open_hospital
from client.join import rosters as hospital_side
from client.join.commands import roster as roster_command
from client.join.joining import join
from client.site_file import STATE
from common.crypto import SigningKey, fresh_key
from common.errors import SettingsError
from common.privacy.masking.roster import Roster, SignedRoster, read_roster, sign_roster
from common.study import Study, make_study, study_toml
from server.coordinator import rosters
from server.coordinator.edge import make_edge
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.registry import open_book
from server.coordinator.service import Service
from server.coordinator.serving import EdgeServer
from server.study_commands import sign
from tests.conftest import ward_settings
from tests.coordinating import NOW, invited, make_folder, serving, with_limits

NAMES = ("Ash", "Birch", "Cedar")
TODAY = datetime.now(UTC).date()


@pytest.fixture
def study() -> Study:
    sites = [
        {"name": name, "weight": weight}
        for name, weight in zip(NAMES, (1.0, 2.0, 0.5), strict=True)
    ]
    return make_study(ward_settings() | {"sites": sites}, where="test")


@pytest.fixture
def folder(tmp_path: Path, study: Study) -> Iterator[CoordinatorFolder]:
    made = with_limits(make_folder(tmp_path / "coordinator"), enrol_burst=1000)
    (tmp_path / "study.toml").write_text(study_toml(study))
    sign(tmp_path / "study.toml", folder=made.path)
    service = Service(made, registrar=lambda _: True)
    with serving(EdgeServer(made, make_edge(made, ours=service.app()))):
        yield made


@pytest.fixture
def wards(folder: CoordinatorFolder, tmp_path: Path) -> dict[str, Hospital]:
    return {name: enrolled(folder, tmp_path, name) for name in NAMES}


def enrolled(folder: CoordinatorFolder, tmp_path: Path, name: str) -> Hospital:
    join(invited(folder, name).code, tmp_path / name, name)
    return open_hospital(tmp_path / name)


def run(hospital: Hospital, yes: str) -> str:
    app = typer.Typer()
    app.command()(roster_command)
    words = ["--folder", str(hospital.folder), "--yes", yes]
    return CliRunner().invoke(app, words, catch_exceptions=False).stdout


def draft(folder: CoordinatorFolder, study: Study, *, today: date = TODAY) -> Roster:
    return rosters.draft(folder, study, today=today)


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


def _serve(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(rosters, "proposal", lambda folder: text)


def test_a_coordinator_that_puts_its_own_key_in_a_hospitals_place_is_caught_by_that_hospital(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roster = draft(folder, study)
    false = changed(roster, "Ash", public_key=SigningKey(fresh_key()).public.hex())
    _serve(monkeypatch, _text(false, {}))
    with pytest.raises(SettingsError, match="not this hospital's key"):
        hospital_side.fetch(wards["Ash"])


def changed(roster: Roster, which: str, /, **values: Any) -> Roster:
    sites = [s.model_copy(update=values) if s.name == which else s for s in roster.sites]
    return roster.model_copy(update={"sites": tuple(sites)})


def _text(roster: Roster, signatures: dict[str, str]) -> str:
    from common.privacy.masking.roster import roster_text

    return roster_text(SignedRoster(roster=roster, signatures=signatures))


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": SigningKey(fresh_key()).public.hex()},
        {"weight": 3.0},
        {"not_after": TODAY + timedelta(days=5000)},
        {"name": "Dogwood"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_changed_after_hospitals_have_signed_makes_their_signatures_void(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
) -> None:
    roster = draft(folder, study)
    for name in NAMES:
        run(wards[name], roster.hash)
    false = changed(roster, "Birch", **change)
    _serve(monkeypatch, _text(false, rosters.votes(folder, roster)))
    ash = wards["Ash"]
    try:
        proposed = hospital_side.fetch(ash)
    except SettingsError:
        return  # it does not even fit the study
    why = hospital_side.take(ash, proposed.roster, today=TODAY)
    assert "0 valid signatures" in why
    assert not ash.roster.exists()


def test_a_roster_that_is_exchanged_between_showing_and_taking_is_noticed(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = hospital_side_fetch(folder, wards, study)
    later = shown.model_copy(update={"epoch": 7})
    _serve(monkeypatch, _text(later, {}))
    with pytest.raises(SettingsError, match="another roster now"):
        hospital_side.take(wards["Ash"], shown, today=TODAY)


def hospital_side_fetch(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> Roster:
    draft(folder, study)
    return hospital_side.fetch(wards["Ash"]).roster


def test_an_older_epoch_never_comes_back(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = draft(folder, study)
    for name in NAMES:
        run(wards[name], first.hash)
    second = draft(folder, study, today=TODAY + timedelta(days=366))
    del second
    old = changed(first, "Ash", weight=1.0).model_copy(update={"federation": "elsewhere"})
    cedar = wards["Cedar"]  # has accepted the first
    keys = {n: SigningKey((wards[n].state / "identity.key").read_bytes()) for n in NAMES}
    _serve(monkeypatch, _text(old, {n: sign_roster(old, key) for n, key in keys.items()}))
    assert "another federation" in hospital_side.take(cedar, old, today=TODAY)


def test_the_coordinator_keeps_valid_signatures_only(
    folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study
) -> None:
    roster = draft(folder, study)
    stranger = roster.model_copy(update={"epoch": 9})
    proposed = hospital_side.Proposed(SignedRoster(roster=stranger, signatures={}), None)
    with pytest.raises(SettingsError, match="stale-roster"):
        hospital_side.sign(wards["Ash"], proposed)
    (wards["Birch"].folder / STATE / "identity.key").write_bytes(fresh_key())
    right = hospital_side.Proposed(SignedRoster(roster=roster, signatures={}), None)
    with pytest.raises(SettingsError, match="bad-signature"):
        hospital_side.sign(wards["Birch"], right)
    with open_book(folder.registry) as book:
        assert book.votes(roster.hash) == {}


def test_without_a_draft_there_is_nothing_to_sign(wards: dict[str, Hospital]) -> None:
    with pytest.raises(SettingsError, match="no-roster"):
        hospital_side.fetch(wards["Ash"])
