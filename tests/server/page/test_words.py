"""A run's state is said in words that are true, and only wishes that make sense are offered."""

import os
from typing import get_args

import pytest

from server.control import Phase, Status, Wish
from server.page.words import ENDED, State, reason, state_of


def say(phase: Phase, wish: Wish = "run", *, alive: bool = True, why: str = "") -> State:
    status = Status(phase, 5, 9, why, os.getpid(), 1.0, 2.0)
    return state_of(status, wish, alive=alive, closed=5, rounds=9)


@pytest.mark.parametrize("phase", get_args(Phase))
def test_every_phase_has_its_words(phase: Phase) -> None:
    state = say(phase)
    assert state.word.lower() == phase
    assert state.sentence.endswith(".")
    assert bool(state.can) == (phase not in ENDED)


def test_a_run_that_only_measures_takes_no_wish() -> None:
    status = Status("running", 9, 9, "", os.getpid(), 1.0, 2.0)
    state = state_of(status, "run", alive=True, closed=9, rounds=9)
    assert "measured" in state.sentence
    assert state.can == ()


def test_a_pause_that_was_asked_for_is_said_and_can_be_taken_back() -> None:
    state = say("running", "pause")
    assert "present round ends first" in state.sentence
    assert state.can == ("run", "stop")


def test_a_stop_that_was_asked_for_can_be_taken_back() -> None:
    assert say("paused", "stop").can == ("run",)
    assert say("stopped", "stop").can == ()


def test_a_run_whose_process_is_gone_is_not_called_running() -> None:
    state = say("running", alive=False)
    assert (state.tone, state.word) == ("bad", "Process not seen")
    assert "after round 5" in state.sentence


@pytest.mark.parametrize("phase", sorted(ENDED))
def test_an_ended_run_needs_no_process(phase: Phase) -> None:
    assert say(phase, alive=False).word.lower() == phase


@pytest.mark.parametrize(("closed", "word"), [(0, "Not started"), (5, "Recorded"), (9, "Finished")])
def test_without_a_status_the_record_speaks(closed: int, word: str) -> None:
    state = state_of(None, "run", alive=False, closed=closed, rounds=9)
    assert state.word == word
    assert state.can == ()


def test_why_is_repeated_as_a_sentence() -> None:
    assert say("failed", why="the disk is full").sentence.startswith("The disk is full.")


def test_a_reason_with_a_sites_own_word_is_explained_by_its_code() -> None:
    assert "its own log" in reason("error-2 KeyError")
    assert reason("something-new") == ""
