import math
from dataclasses import replace

import pytest

from server.state import RoundRecord
from simulation.chaos.judging import Found, judge

WHOLE = [RoundRecord(i, 1, True, ("ash", "birch"), {}, 1.0) for i in (1, 2)]
PART = [WHOLE[0], RoundRecord(2, 1, True, ("ash",), {"birch": "error-5"}, 61.0)]
GOOD = Found("finished", 2, WHOLE, b"theta", 0.0)


def test_all_rounds_with_all_sites_and_the_references_theta_are_good() -> None:
    verdict = judge(GOOD, b"theta")
    assert verdict.good
    assert verdict.identical
    assert not verdict.dropped


def test_an_attempt_without_quorum_changes_nothing() -> None:
    failed = RoundRecord(2, 1, False, (), {"ash": "deadline", "birch": "deadline"}, 100.0)
    verdict = judge(replace(GOOD, records=[WHOLE[0], failed, WHOLE[1]]), b"theta")
    assert verdict.good
    assert not verdict.dropped


def test_a_dropped_site_excuses_another_theta_that_the_record_explains() -> None:
    verdict = judge(replace(GOOD, records=PART, theta=b"other"), b"theta")
    assert verdict.good
    assert verdict.dropped
    assert not verdict.identical


@pytest.mark.parametrize(
    "found",
    [
        replace(GOOD, phase="failed"),
        replace(GOOD, records=WHOLE[:1]),
        replace(GOOD, records=[WHOLE[0], WHOLE[1], WHOLE[1]]),
        replace(GOOD, theta=None, off=math.inf),
        replace(GOOD, theta=b"other"),
        replace(GOOD, records=PART, theta=b"other", off=1e-3),
        replace(GOOD, broken="ash: line 3 does not follow line 2"),
    ],
)
def test_whatever_is_missing_twice_unexplained_or_broken_is_lost(found: Found) -> None:
    assert not judge(found, b"theta").good
