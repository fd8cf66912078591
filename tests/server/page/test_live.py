"""A viewer is sent what is new, and the folder is not read more often than need be."""

from collections.abc import Callable

import pytest

from server.page.live import Live
from tests.page_run import RunFolder
from tests.server.page.conftest import Visitor


@pytest.fixture
def live(visitor: Visitor) -> Live:
    found: Live = visitor.app.state.live
    now = iter(range(10**6))
    found.clock = lambda: float(next(now))
    return found


@pytest.fixture
def look(live: Live) -> Callable[[], str]:
    def now() -> str:
        live.refresh()
        return f"{live.boot}-{live.version}"

    return now


def test_a_viewer_that_has_seen_all_is_sent_nothing(
    run: RunFolder, live: Live, look: Callable[[], str]
) -> None:
    run.rounds(1, 5)
    cursor = look()
    assert live.changes(cursor) is None
    look()
    assert live.changes(cursor) is None


def test_one_more_round_costs_one_bin(run: RunFolder, live: Live, look: Callable[[], str]) -> None:
    run.rounds(1, 50)
    cursor = look()
    run.rounds(51, 51)
    look()
    changes = live.changes(cursor)
    assert changes is not None
    assert [row[0] for row in changes.bins["rows"]] == [50]
    assert not changes.bins["anew"]
    assert set(changes.html) == {"state", "sites", "rounds"}
    assert "said" not in changes.html  # a screen reader is not told of every round
    assert changes.steps is None


def test_a_new_phase_is_said(run: RunFolder, live: Live, look: Callable[[], str]) -> None:
    run.status("running", 5)
    cursor = look()
    run.status("paused", 5, "a person asked for it")
    look()
    changes = live.changes(cursor)
    assert changes is not None
    assert "Paused" in changes.html["said"]


def test_a_widened_chart_is_sent_whole(run: RunFolder, live: Live, look: Callable[[], str]) -> None:
    run.rounds(1, 400)
    cursor = look()
    run.rounds(401, 401)
    look()
    changes = live.changes(cursor)
    assert changes is not None
    assert changes.bins["anew"]
    assert changes.bins["width"] == 2
    assert len(changes.bins["rows"]) == 201


@pytest.mark.parametrize("cursor", ["", "nonsense", "-", "x-9", "00000000-1"])
def test_a_cursor_of_another_past_is_sent_everything(
    cursor: str, run: RunFolder, live: Live, look: Callable[[], str]
) -> None:
    run.rounds(1, 5)
    look()
    changes = live.changes(cursor)
    assert changes is not None
    assert changes.bins["anew"]
    assert len(changes.bins["rows"]) == 5
    assert "sites" in changes.html


def test_a_past_that_was_taken_back_is_shown_anew(
    run: RunFolder, live: Live, look: Callable[[], str]
) -> None:
    run.rounds(1, 5)
    cursor = look()
    (run.folder / "rounds.jsonl").write_text(run.line(1))
    look()
    changes = live.changes(cursor)
    assert changes is not None
    assert changes.bins["anew"]
    assert len(changes.bins["rows"]) == 1
    assert "<b>1</b>" in changes.html["state"]


def test_many_viewers_do_not_read_the_folder_more_often(
    run: RunFolder, live: Live, look: Callable[[], str]
) -> None:
    look()
    live.clock = lambda: live._read + 0.1
    run.rounds(1, 1)
    for _ in range(100):
        assert live.refresh().round_index == 0


def test_a_resumed_run_that_says_more_than_its_record_is_believed(
    run: RunFolder, live: Live, look: Callable[[], str]
) -> None:
    run.rounds(1, 2)
    run.status("running", 3)
    look()
    assert live.refresh().round_index == 3
