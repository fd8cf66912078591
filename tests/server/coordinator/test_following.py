"""A run is told as it goes, and gone on with when its process is lost."""

import os
import time
from typing import Any, Literal

import pytest

from server.control import Progress, read_wish
from server.coordinator import following, running
from server.coordinator.folder import CoordinatorFolder
from tests.server.coordinator.runs import Flower, record

NOBODY = 2**22 - 1
"""A process id that no process has."""


def lost(
    monkeypatch: pytest.MonkeyPatch,
    place: running.RunPlace,
    phase: Literal["running", "failed"] = "running",
    why: str = "",
) -> None:
    """Leave what a process says in round 1 that is gone afterwards."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: NOBODY)
        Progress(place.path, 2).say(phase, 1, why)


def test_rounds_are_told_as_they_end_until_the_run_has(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(sealed)
    record(place, 1)
    record(place, 2)
    progress = Progress(place.path, 2)
    progress.say("finished", 2)
    told: list[object] = []
    end = following.follow(sealed, place, lambda fields: told.append(fields["round_index"]))
    assert told == [1, 2]
    assert end == progress.said


def test_a_run_whose_process_is_gone_is_gone_on_with_and_tells_no_round_twice(
    sealed: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(sealed)
    record(place, 1)
    lost(monkeypatch, place)
    started = running.start_run

    def again(folder: CoordinatorFolder, **more: Any) -> running.RunPlace:
        found = started(folder, **more)
        record(found, 2)
        Progress(found.path, 2).say("finished", 2)
        return found

    monkeypatch.setattr(running, "start_run", again)
    told: list[object] = []
    end = following.run_to_end(sealed, lambda fields: told.append(fields["round_index"]))
    assert told == [1, 2]
    assert end is not None
    assert end.phase == "finished"
    assert len(flower.started) == 2


@pytest.mark.parametrize(
    ("phase", "why"), [("failed", "SystemExit"), ("stopped", "KeyboardInterrupt")]
)
def test_a_run_whose_process_flower_took_down_is_gone_on_with(
    sealed: CoordinatorFolder,
    flower: Flower,
    monkeypatch: pytest.MonkeyPatch,
    phase: Literal["failed", "stopped"],
    why: str,
) -> None:
    place = running.start_run(sealed)
    Progress(place.path, 2).say(phase, 1, why)

    def again(folder: CoordinatorFolder, **more: Any) -> None:
        Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(running, "start_run", again)
    end = following.run_to_end(sealed, lambda fields: None)
    assert end is not None
    assert end.phase == "finished"


@pytest.mark.parametrize("why", ["", "SystemExit"])
def test_a_person_s_stop_is_not_undone_when_the_process_is_lost_before_it_obeys(
    sealed: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    place = running.start_run(sealed)
    running.wish(place, "stop")
    lost(monkeypatch, place, "failed" if why else "running", why)
    end = following.run_to_end(sealed, lambda fields: None)
    assert end is not None
    assert end.round_index == 1
    assert len(flower.started) == 1
    assert read_wish(place.path) == "stop"


def test_a_run_that_is_to_pause_is_gone_on_with_and_still_is(
    sealed: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(sealed)
    running.wish(place, "pause")
    lost(monkeypatch, place)
    started = running.start_run

    def again(folder: CoordinatorFolder, **more: Any) -> None:
        started(folder, **more)
        Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(running, "start_run", again)
    following.run_to_end(sealed, lambda fields: None)
    assert len(flower.started) == 2
    assert read_wish(place.path) == "pause"


def test_a_status_of_before_is_no_news_though_the_clock_was_set_back(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(sealed)
    ahead = Progress(place.path, 4, clock=lambda: time.time() + 3600)
    ahead.say("failed", 2, "SystemExit")
    running.start_run(sealed)
    flower.status = "finished:failed"
    assert following.follow(sealed, place, lambda record: None) is None
    Progress(place.path, 4).say("finished", 4)
    end = following.follow(sealed, place, lambda record: None)
    assert end is not None
    assert end.phase == "finished"


def test_a_coordinator_that_is_down_is_waited_for_before_the_run_goes_on(
    sealed: CoordinatorFolder, flower: Flower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = running.start_run(sealed)
    lost(monkeypatch, place)
    flower.up = False
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        flower.up = len(slept) > 2
        if flower.up:
            Progress(place.path, 2).say("finished", 2)

    monkeypatch.setattr(time, "sleep", sleep)
    end = following.run_to_end(sealed, lambda fields: None)
    assert end is not None
    assert end.phase == "finished"
    assert len(flower.started) == 2


def test_a_run_that_fails_by_an_error_of_its_own_is_not_tried_again(
    sealed: CoordinatorFolder, flower: Flower
) -> None:
    place = running.start_run(sealed)
    Progress(place.path, 2).say("failed", 1, "NonFiniteError")
    end = following.run_to_end(sealed, lambda fields: None)
    assert end is not None
    assert end.why == "NonFiniteError"
    assert len(flower.started) == 1
