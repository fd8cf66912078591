"""A study's run at a coordinator: started once, gone on with, told as it goes, ended by a word."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from typer.testing import CliRunner

from common.cli import make_app
from common.errors import RunFolderError, SettingsError
from common.signed_study import seal_path, seal_study
from common.study import Study, make_study, study_toml
from server.control import Progress, read_wish
from server.coordinator import following, running
from server.coordinator.bundle import make_bundle
from server.coordinator.fleet import SuperLinkDown
from server.coordinator.folder import CoordinatorFolder, init_folder
from server.state import RECORDS_FILE, STATE_FILE
from tests.conftest import ward_settings

NOBODY = 2**22 - 1
"""A process id that no process has."""


class Flower:
    """A Control API that remembers what it was asked for."""

    def __init__(self) -> None:
        self.started: list[tuple[bytes, Mapping[str, object]]] = []
        self.status, self.up = "running", True

    def start_run(self, bundle: bytes, config: Mapping[str, object]) -> int:
        self.started.append((bundle, dict(config)))
        return len(self.started)

    def run_status(self, run: int) -> str:
        return self.status

    def nodes(self) -> list[object]:
        return []


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> Flower:
    made = Flower()

    @contextmanager
    def opened(folder: CoordinatorFolder) -> Iterator[Flower]:
        if not made.up:
            raise SuperLinkDown("ConnectError")
        yield made

    for module in (running, following):
        monkeypatch.setattr(module, "control_api", opened)
    monkeypatch.setattr(running, "register_pending", lambda folder, api: True)
    return made


@pytest.fixture
def study() -> Study:
    return make_study(ward_settings() | {"sites": [{"name": "Ash"}]}, where="test")


@pytest.fixture
def folder(tmp_path: Path, study: Study) -> CoordinatorFolder:
    made = init_folder(
        tmp_path / "coordinator", "wards", ["127.0.0.1"], port=8443, now=datetime.now(UTC)
    )
    sign(made, study, make_bundle())
    return made


def sign(folder: CoordinatorFolder, study: Study, bundle: bytes) -> None:
    folder.study.write_text(study_toml(study))
    sealed = seal_study(study, folder.signer(), bundle=bundle)
    seal_path(folder.study).write_text(sealed.text)


def record(place: running.RunPlace, index: int, *, closed: bool = True) -> None:
    fields = {"round_index": index, "attempt": 1, "closed": closed, "accepted": ["Ash"]}
    with (place.path / RECORDS_FILE).open("a") as file:
        file.write(json.dumps(fields | {"dropped": {}, "seconds": 0.1}) + "\n")


def test_a_run_carries_the_sealed_bundle_and_names_its_folder(
    folder: CoordinatorFolder, study: Study, flower: Flower
) -> None:
    place = running.start_run(folder, seed=3)
    ((bundle, config),) = flower.started
    assert bundle == make_bundle()
    assert place.path == folder.path / "runs" / study.id[:12]
    assert config["output"] == str(place.path)
    assert (config["seed"], config["resume"]) == (3, False)
    assert (place.path / "study.toml").read_text() == folder.study.read_text()


def test_a_run_with_a_checkpoint_goes_on_from_it(folder: CoordinatorFolder, flower: Flower) -> None:
    place = running.start_run(folder)
    (place.path / STATE_FILE).touch()
    running.start_run(folder)
    assert [config["resume"] for _, config in flower.started] == [False, True]


def test_a_run_that_is_gone_on_with_keeps_its_seed_unless_another_is_given(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    running.start_run(folder, seed=3)
    running.start_run(folder)
    running.resume(folder)
    running.start_run(folder, seed=5)
    assert [config["seed"] for _, config in flower.started] == [3, 3, 3, 5]


def test_a_run_that_flower_never_took_keeps_its_seed_and_none_is_gone_on_with_before(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    with pytest.raises(RunFolderError, match="never run"):
        running.resume(folder)
    flower.up = False
    with pytest.raises(running.CoordinatorDown):
        running.start_run(folder, seed=3)
    flower.up = True
    running.resume(folder)
    assert [config["seed"] for _, config in flower.started] == [3]


def test_a_run_that_is_alive_is_not_started_twice_but_resumed(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(folder)
    Progress(place.path, 4).say("paused", 2)
    with pytest.raises(RunFolderError, match="runs already: paused, round 2"):
        running.start_run(folder)
    running.wish(place, "pause")
    running.resume(folder)
    assert read_wish(place.path) == "run"
    assert len(flower.started) == 1


def test_without_a_study_or_a_superlink_it_says_what_to_do(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    flower.up = False
    with pytest.raises(SettingsError, match="coordinator start"):
        running.start_run(folder)
    folder.study.unlink()
    with pytest.raises(SettingsError, match="no study yet"):
        running.start_run(folder)


def test_a_study_that_was_sealed_with_another_bundle_is_not_run(
    folder: CoordinatorFolder, study: Study, flower: Flower
) -> None:
    sign(folder, study, b"another")
    with pytest.raises(SettingsError, match="sign it again"):
        running.start_run(folder)
    assert not flower.started


def test_a_masked_study_needs_a_roster_that_hospitals_have_signed(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    noise = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 5.0}
    sites = [{"name": name, "patients": 90} for name in ("Ash", "Birch", "Cedar")]
    masked = make_study(ward_settings() | {"sites": sites, "privacy": noise}, where="test")
    sign(folder, masked, make_bundle())
    with pytest.raises(SettingsError, match="no roster is signed"):
        running.start_run(folder)


def test_rounds_are_told_as_they_end_until_the_run_has(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(folder)
    record(place, 1)
    record(place, 2)
    progress = Progress(place.path, 2)
    progress.say("finished", 2)
    told: list[object] = []
    end = following.follow(folder, place, lambda fields: told.append(fields["round_index"]))
    assert told == [1, 2]
    assert end == progress.said


def test_a_run_whose_process_is_gone_is_gone_on_with_and_tells_no_round_twice(
    folder: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(folder)
    record(place, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        Progress(place.path, 2).say("running", 1)
    started = running.start_run

    def again(folder: CoordinatorFolder, **more: Any) -> running.RunPlace:
        found = started(folder, **more)
        record(found, 2)
        Progress(found.path, 2).say("finished", 2)
        return found

    monkeypatch.setattr(running, "start_run", again)
    told: list[object] = []
    end = following.run_to_end(folder, lambda fields: told.append(fields["round_index"]))
    assert told == [1, 2]
    assert end is not None
    assert end.phase == "finished"
    assert len(flower.started) == 2


@pytest.mark.parametrize(
    ("phase", "why"), [("failed", "SystemExit"), ("stopped", "KeyboardInterrupt")]
)
def test_a_run_whose_process_flower_took_down_is_gone_on_with(
    folder: CoordinatorFolder,
    flower: Flower,
    monkeypatch: pytest.MonkeyPatch,
    phase: Literal["failed", "stopped"],
    why: str,
) -> None:
    place = running.start_run(folder)
    Progress(place.path, 2).say(phase, 1, why)

    def again(folder: CoordinatorFolder, **more: Any) -> None:
        Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(running, "start_run", again)
    end = following.run_to_end(folder, lambda fields: None)
    assert end is not None
    assert end.phase == "finished"


@pytest.mark.parametrize("why", ["", "SystemExit"])
def test_a_person_s_stop_is_not_undone_when_the_process_is_lost_before_it_obeys(
    folder: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    place = running.start_run(folder)
    running.wish(place, "stop")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        Progress(place.path, 2).say("failed" if why else "running", 1, why)
    end = following.run_to_end(folder, lambda fields: None)
    assert end is not None
    assert end.round_index == 1
    assert len(flower.started) == 1
    assert read_wish(place.path) == "stop"


def test_a_run_that_is_to_pause_is_gone_on_with_and_still_is(
    folder: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(folder)
    running.wish(place, "pause")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        Progress(place.path, 2).say("running", 1)
    started = running.start_run

    def again(folder: CoordinatorFolder, **more: Any) -> None:
        started(folder, **more)
        Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(running, "start_run", again)
    following.run_to_end(folder, lambda fields: None)
    assert len(flower.started) == 2
    assert read_wish(place.path) == "pause"


def test_a_status_of_before_is_no_news_though_the_clock_was_set_back(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(folder)
    ahead = Progress(place.path, 4, clock=lambda: time.time() + 3600)
    ahead.say("failed", 2, "SystemExit")
    running.start_run(folder)
    flower.status = "finished:failed"
    assert following.follow(folder, place, lambda record: None) is None
    Progress(place.path, 4).say("finished", 4)
    end = following.follow(folder, place, lambda record: None)
    assert end is not None
    assert end.phase == "finished"


def test_a_coordinator_that_is_down_is_waited_for_before_the_run_goes_on(
    folder: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        Progress(place.path, 2).say("running", 1)
    flower.up = False
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        flower.up = len(slept) > 2
        if flower.up:
            Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(time, "sleep", sleep)
    end = following.run_to_end(folder, lambda fields: None)
    assert end is not None
    assert end.phase == "finished"
    assert len(flower.started) == 2


def test_a_run_that_fails_by_an_error_of_its_own_is_not_tried_again(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(folder)
    Progress(place.path, 2).say("failed", 1, "NonFiniteError")
    end = following.run_to_end(folder, lambda fields: None)
    assert end is not None
    assert end.why == "NonFiniteError"
    assert len(flower.started) == 1


def test_the_commands_tell_how_the_run_stands_and_end_accordingly(
    folder: CoordinatorFolder, flower: Flower
) -> None:
    words = ["coordinator", "status", "--folder", str(folder.path)]
    assert "has not begun" in CliRunner().invoke(make_app(), words).stdout
    place = running.start_run(folder)
    record(place, 1)
    Progress(place.path, 4).say("below quorum", 1, "1 of 3 sites")
    result = CliRunner().invoke(make_app(), words)
    assert result.exit_code == 1
    assert "below quorum (1 of 3 sites), 1 of 4 rounds" in result.stdout
    assert "round    1  closed, 0.1 s, 1 sites" in result.stdout
    about = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).stdout)
    assert (about["processes"], about["last"]["round_index"]) == (False, 1)
    for wish in ("pause", "stop"):
        made = ["coordinator", wish, "--folder", str(folder.path)]
        assert CliRunner().invoke(make_app(), made).exit_code == 0
        assert read_wish(place.path) == wish


def test_nothing_that_was_never_run_can_be_stopped(folder: CoordinatorFolder) -> None:
    with pytest.raises(RunFolderError, match="never run"):
        running.wish(running.place_of(folder), "stop")
