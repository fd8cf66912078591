"""Who a site is in secure aggregation: its key, its roster, and the study that both must fit."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.masking import FileStore, MemoryStore
from client.membership import (
    ROSTER_FILE,
    accept_roster,
    open_masker,
    require_profile,
)
from client.site import Opened, open_site
from client.site_keys import IDENTITY_FILE, site_key
from common.crypto import SigningKey
from common.errors import InvalidMessage, SettingsError
from common.privacy.masking.roster import read_roster
from common.study import study_toml
from simulation.source import SimulatedSource, make_plan, tailored
from tests.hospital import write_roster, write_rules

Settings = dict[str, Any]
PRIVACY = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 0.1}
NAMES = ("Ash", "Birch", "Cedar", "Elm")


@pytest.fixture
def hospitals(tmp_path: Path) -> dict[str, SigningKey]:
    """The identities of four hospitals, each made in a state folder of its own."""
    return {n: SigningKey(site_key(tmp_path / n / "state", IDENTITY_FILE)) for n in NAMES}


@pytest.fixture
def opened(wards: Callable[..., Settings]) -> Opened:
    settings = wards(privacy=PRIVACY)
    study = tailored(make_plan(settings), settings)
    weighted = [site.model_copy(update={"weight": i + 1.0}) for i, site in enumerate(study.sites)]
    study = study.model_copy(update={"sites": tuple(weighted)})
    Path(settings["study"]).write_text(study_toml(study))
    return open_site({"partition-id": 0, "num-partitions": 4}, settings)


def roster(path: Path, keys: dict[str, SigningKey], *, epoch: int = 1, heavy: float = 1.0) -> Path:
    return write_roster(path, keys, [i + heavy for i in range(len(keys))], epoch=epoch)


def test_a_virtual_site_is_on_the_roster_of_its_source_and_needs_no_disk(
    wards: Callable[..., Settings],
) -> None:
    settings = wards(privacy=PRIVACY)
    with pytest.raises(SettingsError, match="names no sites"):
        SimulatedSource().roster(settings)
    study = tailored(make_plan(settings), settings)
    Path(settings["study"]).write_text(study_toml(study))
    signed = read_roster(SimulatedSource().roster(settings), where="test")
    assert set(signed.signatures) == {site.name for site in signed.roster.sites}
    assert [site.name for site in study.sites] == [site.name for site in signed.roster.sites]


def test_a_hospitals_identity_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    secret = site_key(tmp_path, IDENTITY_FILE)
    assert secret == site_key(tmp_path, IDENTITY_FILE) != site_key(tmp_path)
    assert stat.S_IMODE((tmp_path / IDENTITY_FILE).stat().st_mode) == 0o600


def test_a_hospital_takes_its_seat_by_its_own_files(
    opened: Opened, hospitals: dict[str, SigningKey], tmp_path: Path
) -> None:
    roster(tmp_path / "Ash" / "roster.json", hospitals)
    ash = opened._replace(hospital=write_rules(tmp_path / "Ash", "Ash", limits={"min_cohort": 4}))
    masker = open_masker(ash, {"fast-path": False, "roster": "ignored"}, MemoryStore())
    assert masker.seat.name == "Ash"
    assert masker.seat.key.public == hospitals["Ash"].public
    assert (masker.seat.policy.min_cohort, masker.seat.policy.fast_path) == (4, True)
    assert isinstance(masker.store, FileStore)
    assert masker.store.path.parent == tmp_path / "Ash" / "state"
    (tmp_path / "Ash" / "roster.json").unlink()
    with pytest.raises(SettingsError, match="roster cannot be read"):
        open_masker(ash, {}, MemoryStore())
    with pytest.raises(SettingsError, match="min_cohort"):
        write_rules(tmp_path / "Ash", "Ash", limits={"min_cohort": 2})


def test_study_roster_and_site_have_to_agree(
    opened: Opened, hospitals: dict[str, SigningKey], tmp_path: Path
) -> None:
    ash = opened._replace(hospital=write_rules(tmp_path / "Ash", "Ash"))
    roster(tmp_path / "Ash" / "roster.json", hospitals, heavy=2.0)
    with pytest.raises(SettingsError, match="weights are not those of the roster"):
        open_masker(ash, {}, MemoryStore())
    other = opened._replace(hospital=write_rules(tmp_path / "Birch", "Ash"))  # with Birch's key
    roster(tmp_path / "Birch" / "roster.json", hospitals)
    with pytest.raises(SettingsError, match="has not this site's key"):
        open_masker(other, {}, MemoryStore())


def test_an_accepted_roster_is_kept_and_only_the_hospitals_can_replace_it(
    hospitals: dict[str, SigningKey], tmp_path: Path
) -> None:
    folder, path = tmp_path / "Ash", tmp_path / "roster"
    first = accept_roster(roster(path, hospitals), folder)
    assert accept_roster(path, folder) == first
    assert read_roster((folder / ROSTER_FILE).read_text(), where="test").roster == first
    strangers = {name: SigningKey(bytes([i]) * 32) for i, name in enumerate(NAMES)}
    with pytest.raises(SettingsError, match="0 valid signatures of hospitals, 3 are needed"):
        accept_roster(roster(path, strangers, epoch=2), folder)
    assert accept_roster(roster(path, hospitals, epoch=2), folder).epoch == 2
    with pytest.raises(SettingsError, match="not newer"):
        accept_roster(roster(path, hospitals), folder)
    with pytest.raises(SettingsError, match="cannot be read"):
        accept_roster(tmp_path / "nowhere", folder)


def test_a_site_without_a_masked_study_has_no_seat(wards: Callable[..., Settings]) -> None:
    study = open_site({"partition-id": 0, "num-partitions": 4}, wards()).study
    require_profile(study, masked=False)
    with pytest.raises(InvalidMessage) as caught:
        require_profile(study, masked=True)
    assert caught.value.code == "wrong-profile"
