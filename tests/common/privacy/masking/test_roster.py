"""A roster holds if the hospitals have signed it; the coordinator's signature is not asked for."""

from datetime import date

import pytest

from common.crypto import SigningKey, digest
from common.errors import InvalidMessage, SettingsError
from common.privacy.masking.roster import (
    Roster,
    RosterSite,
    SignedRoster,
    check_roster,
    read_roster,
    roster_text,
    sign_roster,
)

TODAY = date(2030, 6, 1)
KEYS = {name: SigningKey(digest(name)) for name in ("Ash", "Birch", "Cedar", "Elm", "Fir")}


def roster(names: str = "Ash Birch Cedar", *, epoch: int = 1, revoked: str = "") -> Roster:
    return Roster(
        federation="wards",
        epoch=epoch,
        sites=tuple(
            RosterSite(
                name=name,
                public_key=KEYS[name].public.hex(),
                weight=1.0,
                not_before=date(2030, 1, 1),
                not_after=date(2030, 12, 31),
            )
            for name in names.split()
        ),
        revoked=tuple(KEYS[name].public.hex() for name in revoked.split()),
    )


def signed_by(names: str, content: Roster) -> SignedRoster:
    signatures = {name: sign_roster(content, KEYS[name]) for name in names.split()}
    return SignedRoster(roster=content, signatures=signatures)


def accepted(signed: SignedRoster, previous: Roster | None = None, today: date = TODAY) -> Roster:
    return check_roster(signed, previous, today=today, where="roster.json")


def test_a_first_roster_needs_all_of_its_sites() -> None:
    assert accepted(signed_by("Ash Birch Cedar", roster())) == roster()
    with pytest.raises(SettingsError, match="2 valid signatures of hospitals, 3 are needed"):
        accepted(signed_by("Ash Birch", roster()))


def test_a_later_roster_needs_two_thirds_of_the_hospitals_before_it() -> None:
    later = roster("Ash Birch Cedar Elm Fir", epoch=2)
    assert accepted(signed_by("Ash Cedar", later), roster()) == later
    with pytest.raises(SettingsError, match="1 valid signatures of hospitals, 2 are needed"):
        accepted(signed_by("Ash Elm Fir", later), roster())  # who is new has no vote


def test_revoked_and_expired_keys_sign_for_nobody() -> None:
    before, later = roster(revoked="Ash"), roster(epoch=2)
    with pytest.raises(SettingsError, match="1 valid signatures of hospitals, 2 are needed"):
        accepted(signed_by("Ash Birch", later), before)
    with pytest.raises(SettingsError, match="0 valid signatures"):
        accepted(signed_by("Ash Birch Cedar", later), roster(), date(2031, 1, 1))


def test_a_signature_covers_every_field() -> None:
    signed = signed_by("Ash Birch Cedar", roster())
    heavier = roster().sites[0].model_copy(update={"weight": 9.0})
    changed = roster().model_copy(update={"sites": (heavier, *roster().sites[1:])})
    with pytest.raises(SettingsError, match="0 valid signatures"):
        accepted(SignedRoster(roster=changed, signatures=signed.signatures))


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_older_roster_does_not_come_back(epoch: int) -> None:
    with pytest.raises(SettingsError, match="not newer"):
        accepted(signed_by("Ash Birch Cedar", roster(epoch=epoch)), roster(epoch=2))


def test_a_roster_survives_its_file_and_names_what_is_wrong_with_one() -> None:
    signed = signed_by("Ash Birch Cedar", roster())
    assert read_roster(roster_text(signed), where="roster.json") == signed
    with pytest.raises(SettingsError, match=r"roster\.epoch"):
        read_roster(roster_text(signed).replace('"epoch": 1', '"epoch": 0'), where="roster.json")


def test_names_and_keys_are_listed_once() -> None:
    with pytest.raises(ValueError, match="share a name or a key"):
        roster("Ash Ash")


@pytest.mark.parametrize(
    ("name", "today", "code"),
    [
        ("Oak", TODAY, "unknown-site"),
        ("Ash", date(2031, 1, 1), "expired-key"),
        ("Ash", date(2029, 12, 31), "expired-key"),
        ("Birch", TODAY, "revoked-key"),
    ],
)
def test_a_key_counts_only_while_it_holds(name: str, today: date, code: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        roster(revoked="Birch").key(name, today)
    assert caught.value.code == code
