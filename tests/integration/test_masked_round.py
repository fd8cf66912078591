"""Masked rounds of the real apps over the in-process grid, with faults in every phase."""

from collections.abc import Callable
from typing import Any

import pytest

from simulation.faults import Fault
from tests.integration.conftest import BIRCH, CEDAR, NAMES, at

Make = Callable[..., Any]


def test_the_learned_sum_is_the_plaintext_sum_of_the_real_releases_bit_for_bit(
    federation: Make,
) -> None:
    made = federation(real=True)
    records = made.run()
    assert [(r.accepted, r.dropped) for r in records] == [(NAMES, {})] * 4
    made.assert_sums_are_plain()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.DROP, "deadline"),
        (Fault.DELAY, "deadline"),
        (Fault.ERROR, "error-2 planted"),
        (Fault.NAN, "wrong-dtype"),
        (Fault.WRONG_SHAPE, "wrong-shape"),
        (Fault.LYING_SHAPE, "wrong-shape"),
        (Fault.WRONG_DTYPE, "wrong-dtype"),
        (Fault.WRONG_KEYS, "wrong-schema"),
        (Fault.STALE_ROUND, "stale-round"),
    ],
)
def test_a_lost_input_costs_a_third_phase_and_the_site_rests_for_a_round(
    fault: Fault, reason: str, federation: Make
) -> None:
    made = federation()
    records = made.run(at("input", fault))
    assert [r.dropped for r in records] == [{}, {"Birch": reason}, {"Birch": "resting"}, {}]
    assert [len(r.accepted) for r in records] == [4, 3, 3, 4]
    made.assert_sums_are_plain()


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.DUPLICATE])
def test_a_lost_confirmation_costs_nothing_its_input_counts_all_the_same(
    fault: Fault, federation: Make
) -> None:
    made = federation()
    records = made.run(at("confirm", fault))
    assert [len(r.accepted) for r in records] == [4, 4, 3, 4]
    assert records[2].dropped == {"Birch": "resting"}
    made.assert_sums_are_plain()


def test_replies_that_come_twice_count_once(federation: Make) -> None:
    made = federation()
    records = made.run(lambda round_index, node: Fault.DUPLICATE)
    assert [(r.accepted, r.dropped) for r in records] == [(NAMES, {})] * 4
    made.assert_sums_are_plain()


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.ERROR, Fault.WRONG_SHAPE, Fault.NAN])
def test_a_turn_that_lacks_shares_is_taken_up_again_and_ends_in_the_same_sum(
    fault: Fault, federation: Make
) -> None:
    """Three of four are needed: Birch is lost at first, Cedar in the reveal, and is asked again."""
    made = federation()
    records = made.run(at("input", Fault.DROP), at("reveal", fault, [CEDAR]))
    closed = [(r.round_index, r.attempt, r.closed, len(r.accepted)) for r in records[1:3]]
    assert closed == [(2, 1, False, 0), (2, 2, True, 3)]
    made.assert_sums_are_plain()


def test_too_few_confirmations_are_asked_for_again_in_the_same_turn(federation: Make) -> None:
    made = federation()
    records = made.run(at("confirm", Fault.DROP, [BIRCH, CEDAR]))
    assert [(r.attempt, r.closed, len(r.accepted)) for r in records[1:3]] == [
        (1, False, 0),
        (2, True, 4),
    ]
    made.assert_sums_are_plain()


def test_too_few_inputs_bring_nothing_and_the_next_attempt_is_a_new_turn(federation: Make) -> None:
    made = federation()
    records = made.run(at("input", Fault.DROP, [BIRCH, CEDAR]))
    assert [(r.attempt, r.closed, r.accepted) for r in records[1:3]] == [
        (1, False, ()),
        (2, True, NAMES),
    ]
    assert records[1].dropped == {
        "Ash": "no-sum",
        "Birch": "deadline",
        "Cedar": "deadline",
        "Elm": "no-sum",
    }
    made.assert_sums_are_plain()
