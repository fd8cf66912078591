"""A study's run at a coordinator: started once, gone on with, ended by a word."""

import pytest

from common.errors import RunFolderError, SettingsError
from common.study import Study, make_study
from server.control import Progress, read_wish
from server.coordinator import running
from server.coordinator.bundle import make_bundle
from server.coordinator.folder import CoordinatorFolder
from server.state import STATE_FILE
from tests.conftest import ward_settings
from tests.server.coordinator.runs import Flower, seal


def test_a_run_carries_the_sealed_bundle_and_names_its_folder(
    sealed: CoordinatorFolder, study: Study, flower: Flower
) -> None:
    place = running.start_run(sealed, seed=3)
    ((bundle, config),) = flower.started
    assert bundle == make_bundle()
    assert place.path == sealed.path / "runs" / study.id[:12]
    assert config["output"] == str(place.path)
    assert (config["seed"], config["resume"]) == (3, False)
    assert (place.path / "study.toml").read_text() == sealed.study.read_text()


def test_a_run_with_a_checkpoint_goes_on_from_it(sealed: CoordinatorFolder, flower: Flower) -> None:
    place = running.start_run(sealed)
    (place.path / STATE_FILE).touch()
    running.start_run(sealed)
    assert [config["resume"] for _, config in flower.started] == [False, True]


def test_a_run_that_is_gone_on_with_keeps_its_seed_unless_another_is_given(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    running.start_run(sealed, seed=3)
    running.start_run(sealed)
    running.resume(sealed)
    running.start_run(sealed, seed=5)
    assert [config["seed"] for _, config in flower.started] == [3, 3, 3, 5]


def test_a_run_that_flower_never_took_keeps_its_seed_and_none_is_gone_on_with_before(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    with pytest.raises(RunFolderError, match="never run"):
        running.resume(sealed)
    flower.up = False
    with pytest.raises(running.CoordinatorDown):
        running.start_run(sealed, seed=3)
    flower.up = True
    running.resume(sealed)
    assert [config["seed"] for _, config in flower.started] == [3]


def test_a_run_that_is_alive_is_not_started_twice_but_resumed(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(sealed)
    Progress(place.path, 4).say("paused", 2)
    with pytest.raises(RunFolderError, match="runs already: paused, round 2"):
        running.start_run(sealed)
    running.wish(place, "pause")
    running.resume(sealed)
    assert read_wish(place.path) == "run"
    assert len(flower.started) == 1


def test_without_a_study_or_a_superlink_it_says_what_to_do(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    flower.up = False
    with pytest.raises(SettingsError, match="coordinator start"):
        running.start_run(sealed)
    sealed.study.unlink()
    with pytest.raises(SettingsError, match="no study yet"):
        running.start_run(sealed)


def test_a_study_that_was_sealed_with_another_bundle_is_not_run(
    sealed: CoordinatorFolder, study: Study, flower: Flower
) -> None:
    seal(sealed, study, b"another")
    with pytest.raises(SettingsError, match="sign it again"):
        running.start_run(sealed)
    assert not flower.started


def test_a_masked_study_needs_a_roster_that_hospitals_have_signed(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    noise = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 5.0}
    sites = [{"name": name, "patients": 90} for name in ("Ash", "Birch", "Cedar")]
    masked = make_study(ward_settings() | {"sites": sites, "privacy": noise}, where="test")
    seal(sealed, masked, make_bundle())
    with pytest.raises(SettingsError, match="no roster is signed"):
        running.start_run(sealed)


def test_nothing_that_was_never_run_can_be_stopped(sealed: CoordinatorFolder) -> None:
    with pytest.raises(RunFolderError, match="never run"):
        running.wish(running.place_of(sealed), "stop")
