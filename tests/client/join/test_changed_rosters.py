"""A roster that somebody changes on its way is noticed, whatever is changed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from client.hospital import Hospital
from client.join import rosters as hospital_side
from client.site_file import STATE
from common.crypto import SigningKey, fresh_key
from common.errors import SettingsError
from common.privacy.masking.roster import Roster, SignedRoster, roster_text, sign_roster
from common.study import Study
from server.coordinator import rosters
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.registry import open_book
from tests.client.join.rosters import NAMES, TODAY, draft, run


def serve(
    monkeypatch: pytest.MonkeyPatch, roster: Roster, signatures: dict[str, str] | None = None
) -> None:
    """Have the coordinator offer a roster in the place of its draft."""
    text = roster_text(SignedRoster(roster=roster, signatures=signatures or {}))
    monkeypatch.setattr(rosters, "proposal", lambda folder: text)


def changed(roster: Roster, which: str, /, **values: Any) -> Roster:
    sites = [s.model_copy(update=values) if s.name == which else s for s in roster.sites]
    return roster.model_copy(update={"sites": tuple(sites)})


def test_a_coordinator_that_puts_its_own_key_in_a_hospitals_place_is_caught_by_that_hospital(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roster = draft(folder, study)
    false = changed(roster, "Ash", public_key=SigningKey(fresh_key()).public.hex())
    serve(monkeypatch, false)
    with pytest.raises(SettingsError, match="not this hospital's key"):
        hospital_side.fetch(wards["Ash"])


@pytest.fixture
def signed_by_all(folder: CoordinatorFolder, wards: dict[str, Hospital], study: Study) -> Roster:
    """A first roster that all have signed; Cedar, the last of them, has taken it too."""
    roster = draft(folder, study)
    for name in NAMES:
        run(wards[name], roster.hash)
    return roster


@pytest.fixture
def offer(
    folder: CoordinatorFolder, signed_by_all: Roster, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], None]:
    """Offer what all have signed with Birch's entry changed."""

    def changed_and_served(change: dict[str, Any]) -> None:
        false = changed(signed_by_all, "Birch", **change)
        serve(monkeypatch, false, rosters.votes(folder, signed_by_all))

    return changed_and_served


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": SigningKey(fresh_key()).public.hex()},
        {"not_after": TODAY + timedelta(days=5000)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_changed_after_hospitals_have_signed_makes_their_signatures_void(
    wards: dict[str, Hospital], offer: Callable[[dict[str, Any]], None], change: dict[str, Any]
) -> None:
    offer(change)
    ash = wards["Ash"]
    why = hospital_side.take(ash, hospital_side.fetch(ash).roster, today=TODAY)
    assert "0 valid signatures" in why
    assert not ash.roster.exists()


@pytest.mark.parametrize(
    "change", [{"weight": 3.0}, {"name": "Boxwood"}], ids=lambda change: next(iter(change))
)
def test_a_roster_that_does_not_fit_the_study_is_not_even_shown(
    wards: dict[str, Hospital], offer: Callable[[dict[str, Any]], None], change: dict[str, Any]
) -> None:
    offer(change)
    with pytest.raises(SettingsError, match="sites and weights are not those of the roster"):
        hospital_side.fetch(wards["Ash"])


def test_a_roster_that_is_exchanged_between_showing_and_taking_is_noticed(
    folder: CoordinatorFolder,
    wards: dict[str, Hospital],
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draft(folder, study)
    shown = hospital_side.fetch(wards["Ash"]).roster
    later = shown.model_copy(update={"epoch": 7})
    serve(monkeypatch, later)
    with pytest.raises(SettingsError, match="another roster now"):
        hospital_side.take(wards["Ash"], shown, today=TODAY)


def test_another_federations_roster_and_one_that_is_no_newer_are_not_taken_though_all_have_signed(
    wards: dict[str, Hospital], signed_by_all: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {n: SigningKey((wards[n].state / "identity.key").read_bytes()) for n in NAMES}
    newer = signed_by_all.model_copy(update={"epoch": 2})
    elsewhere = newer.model_copy(update={"federation": "elsewhere"})
    no_newer = changed(signed_by_all, "Ash", not_after=TODAY + timedelta(days=90))
    taken = {}
    for roster in (elsewhere, no_newer, newer):
        serve(monkeypatch, roster, {n: sign_roster(roster, key) for n, key in keys.items()})
        taken[roster.hash] = hospital_side.take(wards["Cedar"], roster, today=TODAY)
    refused = "another federation, or not newer"
    assert refused in taken[elsewhere.hash]
    assert refused in taken[no_newer.hash]
    assert taken[newer.hash] == ""


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
