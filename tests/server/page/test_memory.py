"""A run of any length is remembered in bounded space."""

import pytest

from server.page.bins import MOST, Bins
from server.page.memory import MOST_REASONS, OTHERS, RECENT, Memory
from server.page.tail import Attempt


def attempt(index: int, **changes: object) -> Attempt:
    settings = {
        "round_index": index,
        "attempt": 1,
        "closed": True,
        "accepted": ("Ash", "Birch"),
        "dropped": {},
        "seconds": 2.0,
        "ended": 1_000 + index,
    }
    return Attempt.model_validate(settings | changes)


def test_a_site_is_in_contact_if_it_answers_not_if_others_do() -> None:
    memory = Memory()
    memory.take([attempt(1), attempt(2, accepted=("Ash",), dropped={"Birch": "deadline"})])
    assert (memory.sites["Ash"].heard, memory.sites["Ash"].when) == (2, 1_002)
    assert (memory.sites["Birch"].heard, memory.sites["Birch"].when) == (1, 1_001)
    memory.take([attempt(3, accepted=("Ash",), dropped={"Birch": "norm-too-large"})])
    assert (memory.sites["Birch"].heard, memory.sites["Birch"].when) == (3, 1_003)
    assert memory.sites["Birch"].used == 1


def test_updates_of_an_attempt_that_did_not_close_are_not_counted_as_used() -> None:
    memory = Memory()
    memory.take([attempt(1, closed=False)])
    assert memory.sites["Ash"].used == 0
    assert (memory.closed, memory.failed) == (0, 1)


def test_only_the_last_attempts_are_kept() -> None:
    memory = Memory()
    memory.take(attempt(i) for i in range(1, 1001))
    assert [one.round_index for one in memory.recent] == list(range(1001 - RECENT, 1001))
    assert memory.closed == 1000


def test_the_last_closed_round_is_known_after_any_number_of_failures() -> None:
    memory = Memory()
    memory.take([attempt(7), *(attempt(8, closed=False) for _ in range(3 * RECENT))])
    assert memory.last_closed == attempt(7)


def test_reasons_that_a_site_makes_up_do_not_fill_the_memory() -> None:
    memory = Memory()
    for i in range(500):
        memory.take([attempt(i + 1, dropped={"Cedar": f"error-2 {'x' * i}"})])
    assert len(memory.reasons) == MOST_REASONS + 1
    assert memory.reasons[OTHERS] == 500 - MOST_REASONS


def test_pace_is_the_median_of_recent_rounds() -> None:
    memory = Memory()
    assert memory.pace == 0
    memory.take([attempt(i, seconds=s) for i, s in ((1, 2.0), (2, 3.0), (3, 120.0))])
    assert memory.pace == 3.0


@pytest.mark.parametrize("rounds", [1, MOST, MOST + 1, 10_000])
def test_bins_are_bounded_and_lose_no_round(rounds: int) -> None:
    bins = Bins()
    for i in range(1, rounds + 1):
        bins.add(attempt(i, seconds=float(i)), i)
    rows = bins.since(0)
    assert len(rows) <= MOST
    assert sum(row[4] for row in rows) == rounds
    assert max(row[7] for row in rows) == rounds
    assert sum(row[4] * row[6] for row in rows) == pytest.approx(rounds * (rounds + 1) / 2)


def test_a_bin_tells_attempts_that_failed_apart_from_those_that_closed() -> None:
    bins = Bins(width=4)
    bins.add(attempt(1, closed=False, accepted=("Ash",), dropped={"Birch": "away"}, seconds=9), 1)
    bins.add(attempt(1, dropped={"Cedar": "away"}, seconds=1), 2)
    bins.add(attempt(2, accepted=("Ash",), dropped={"Birch": "away", "Cedar": "away"}), 3)
    # used (2 + 1) / 2 of (3 + 3) / 2 asked, 1 failed, 2 closed, seconds 1 to 2, 1.5 on average
    assert bins.since(0) == [[0, 1.5, 3.0, 1, 2, 1.0, 1.5, 2.0, 1]]


def test_only_bins_that_have_changed_are_sent() -> None:
    bins = Bins()
    for i in range(1, 101):
        bins.add(attempt(i), i)
    assert [row[0] for row in bins.since(98)] == [98, 99]


def test_a_round_number_out_of_this_world_costs_little() -> None:
    bins = Bins()
    bins.add(attempt(1), 1)
    bins.add(attempt(10**15), 2)
    assert len(bins.since(0)) <= 2
