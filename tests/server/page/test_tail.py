"""Each line of a growing record is read once, and a changed past is noticed."""

import pytest

from server.page import tail as module
from server.page.tail import RECORDS_FILE, Tail
from server.state import RECORDS_FILE as WRITTEN
from tests.page_run import RunFolder


@pytest.fixture
def tail(run: RunFolder) -> Tail:
    return Tail(run.folder / RECORDS_FILE)


def test_it_reads_the_file_that_the_server_writes() -> None:
    assert RECORDS_FILE == WRITTEN


def test_a_missing_file_has_no_lines(tail: Tail) -> None:
    assert tail.read().attempts == []


def test_lines_are_read_once(run: RunFolder, tail: Tail) -> None:
    run.rounds(1, 3)
    assert [one.round_index for one in tail.read().attempts] == [1, 2, 3]
    assert tail.read().attempts == []
    run.rounds(4, 4)
    news = tail.read()
    assert [one.round_index for one in news.attempts] == [4]
    assert not news.anew


def test_half_a_line_waits_for_its_end(run: RunFolder, tail: Tail) -> None:
    line = run.line(1)
    with tail.path.open("w") as file:
        file.write(line[:20])
        file.flush()
        assert tail.read().attempts == []
        file.write(line[20:])
    assert len(tail.read().attempts) == 1


def test_a_past_that_was_taken_back_is_read_anew(run: RunFolder, tail: Tail) -> None:
    run.rounds(1, 3)
    tail.read()
    tail.path.write_text(run.line(1) + run.line(2))  # a crash: round 3 had not been saved
    news = tail.read()
    assert news.anew
    assert [one.round_index for one in news.attempts] == [1, 2]


def test_a_line_replaced_by_another_as_long_is_noticed(run: RunFolder, tail: Tail) -> None:
    run.rounds(1, 2)
    tail.read()
    tail.path.write_text(run.line(1) + run.line(2, seconds=9.5) + run.line(3))
    news = tail.read()
    assert news.anew
    assert [one.seconds for one in news.attempts] == [1.5, 9.5, 1.5]


def test_a_file_that_is_gone_is_another_past(run: RunFolder, tail: Tail) -> None:
    run.rounds(1, 2)
    tail.read()
    tail.path.unlink()
    assert tail.read().anew


def test_damaged_lines_are_counted_and_the_others_read(run: RunFolder, tail: Tail) -> None:
    lines = [run.line(1), "{}\n", "nonsense\n", run.line(2), run.line(0), run.line(3, seconds=-1)]
    tail.path.write_text("".join(lines))
    news = tail.read()
    assert [one.round_index for one in news.attempts] == [1, 2]
    assert news.damaged == 4


def test_a_long_past_is_read_in_steps(
    run: RunFolder, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 500)
    run.rounds(1, 20)
    found = []
    while news := tail.read().attempts:
        assert len(news) < 20
        found += [one.round_index for one in news]
    assert found == list(range(1, 21))


def test_what_a_later_version_adds_is_left_alone(run: RunFolder, tail: Tail) -> None:
    tail.path.write_text(run.line(1, colour="blue"))
    assert len(tail.read().attempts) == 1
