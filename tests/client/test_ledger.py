import math
import sys
from pathlib import Path
from typing import Any

import pytest

from client.ledger import Ledger
from common.errors import PrivacyError
from common.privacy.accounting import GradientRounds, MetricReleases, epsilon
from common.privacy.cost import StudyCost, gradient_parameters, metric_parameters
from tests.client.ledgers import IDENTITY, THETA, again, cost_of, ledger_with, now, pay


def test_what_is_spent_is_the_cost_of_the_debits_so_far(tmp_path: Path) -> None:
    cost = cost_of(rounds=100)
    ledger = ledger_with(tmp_path, cost)
    assert ledger.balance("2025").spent == 0
    for index in range(3):
        assert pay(ledger, cost, index) == 3 + index
    for held in (ledger, again(tmp_path)):
        found = held.balance("2025")
        three = GradientRounds(noise_multiplier=2.16, coin=0.1, rounds=3)
        assert found.spent == epsilon([three], 1e-5)
        assert found.spent_zero_out == epsilon([three], 1e-5, "zero-out") < found.spent
        assert found.reserved == cost.replace_one == pytest.approx(3.995, abs=0.001)
        assert (found.cap, found.left) == (10, 10 - cost.replace_one)
        assert found.delta == 1e-5


def test_studies_add_up_and_metrics_compose_with_the_rounds_of_their_study(tmp_path: Path) -> None:
    one, two = cost_of("one", releases=1), cost_of("two")
    ledger = ledger_with(tmp_path, one, two)
    pay(ledger, one)
    pay(ledger, two)
    round_alone = ledger.balance("2025").spent / 2
    metrics = MetricReleases(std=10.0, releases=1)
    about: dict[str, Any] = {"study": one.study, "run": "r", "round_index": 0}
    parameters = metric_parameters(metrics)
    ledger.debit("metric", **about, theta_sha256=THETA, parameters=parameters)
    first = GradientRounds(noise_multiplier=2.16, coin=0.1, rounds=1)
    together = epsilon([first, metrics], 1e-5)
    assert ledger.balance("2025").spent == pytest.approx(together + round_alone)
    assert ledger.balance("2025").delta == 2e-5


def test_a_metric_beyond_the_studys_plan_is_refused(tmp_path: Path) -> None:
    measured, without = cost_of("one", releases=2), cost_of("two")
    ledger = ledger_with(tmp_path, measured, without)
    assert measured.metrics is not None
    parameters = metric_parameters(measured.metrics)
    about: dict[str, Any] = {"study": measured.study, "run": "r", "theta_sha256": THETA}
    for index in (1, 2):
        ledger.debit("metric", **about, round_index=index, parameters=parameters)
    with pytest.raises(PrivacyError, match="all 2 metric releases of study one are spent"):
        ledger.debit("metric", **about, round_index=3, parameters=parameters)
    for study, given in ((measured, {"std": 5.0}), (without, parameters)):
        asked = about | {"study": study.study, "round_index": 3, "parameters": given}
        with pytest.raises(PrivacyError, match="not what was reserved"):
            ledger.debit("metric", **asked)
    assert ledger.debits(measured.study, "metric") == 2


def test_cohorts_have_accounts_of_their_own(tmp_path: Path) -> None:
    one, two = cost_of("one"), cost_of("two")
    ledger = ledger_with(tmp_path, one)
    ledger.open_cohort("2026", cap=1.0)
    ledger.reserve(two, cohort="2026")
    pay(ledger, one)
    assert ledger.cohorts == ("2025", "2026")
    assert ledger.balance("2026").spent == 0
    assert ledger.balance("2025").spent > 0
    with pytest.raises(PrivacyError, match="2027 was never opened"):
        ledger.balance("2027")
    with pytest.raises(PrivacyError, match="2027 was never opened"):
        ledger.reserve(cost_of("three"), cohort="2027")


def test_reservations_never_exceed_the_cap_also_across_restarts(tmp_path: Path) -> None:
    costs = [cost_of(f"study {i}", rounds=100) for i in range(6)]  # 3.995 each: two fit into 10
    ledger_with(tmp_path)
    granted = 0
    for cost in costs:
        try:
            again(tmp_path).reserve(cost, cohort="2025")
            granted += 1
        except PrivacyError as refusal:
            assert "costs epsilon 3.995, and 2.01 is left of 2025's 10" in str(refusal)  # noqa: PT017
    assert granted == 2
    assert again(tmp_path).balance("2025").reserved == 2 * costs[0].replace_one


def test_the_deltas_of_reservations_have_a_cap_too(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path, IDENTITY, now)
    ledger.open_cohort("2025", cap=10, delta=2.5e-5)
    for name in ("one", "two"):
        ledger.reserve(cost_of(name), cohort="2025")
    with pytest.raises(PrivacyError, match=r"costs delta 1e-05, and 5e-06 is left"):
        ledger.reserve(cost_of("three"), cohort="2025")


def test_debits_never_exceed_what_was_reserved_also_across_restarts(tmp_path: Path) -> None:
    cost = cost_of(rounds=3)
    ledger_with(tmp_path, cost)
    for index in range(3):
        pay(again(tmp_path), cost, index)
    for _ in range(2):
        with pytest.raises(PrivacyError, match="all 3 gradient releases of study wards are spent"):
            pay(again(tmp_path), cost, 3)
    assert again(tmp_path).debits(cost.study, "gradient") == 3
    assert again(tmp_path).balance("2025").spent == pytest.approx(cost.replace_one)


def test_a_debit_is_for_the_reserved_mechanism_only(tmp_path: Path) -> None:
    cost = cost_of()
    ledger = ledger_with(tmp_path, cost)
    right = gradient_parameters(cost.gradients, cost.clip_norm)
    for name in right:
        wrong = right | {name: math.nextafter(right[name], math.inf)}
        with pytest.raises(PrivacyError, match="not what was reserved"):
            pay(ledger, cost, parameters=wrong)
    with pytest.raises(PrivacyError, match="not what was reserved"):
        ledger.debit(
            "metric",
            study=cost.study,
            run="run-1",
            round_index=0,
            theta_sha256=THETA,
            parameters={"std": 10.0},
        )
    with pytest.raises(PrivacyError, match="never reserved"):
        pay(ledger, cost_of("another"))
    assert ledger.debits(cost.study, "gradient") == 0


def test_a_round_has_one_theta(tmp_path: Path) -> None:
    cost = cost_of(rounds=4)
    ledger = ledger_with(tmp_path, cost)
    pay(ledger, cost)
    with pytest.raises(PrivacyError, match="round 0 of run run-1 had another theta"):
        pay(again(tmp_path), cost, theta_sha256="cd" * 32)
    pay(ledger, cost)  # a new release for the same theta is a new debit
    pay(ledger, cost, run="run-2", theta_sha256="cd" * 32)
    assert ledger.debits(cost.study, "gradient") == 3


def test_a_study_is_reserved_once_and_a_cap_never_changes(tmp_path: Path) -> None:
    cost = cost_of()
    ledger = ledger_with(tmp_path, cost)
    with pytest.raises(PrivacyError, match="reserved already"):
        ledger.reserve(cost, cohort="2025")
    with pytest.raises(PrivacyError, match="never changed"):
        ledger.open_cohort("2025", cap=100)
    for cap in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PrivacyError, match="is none"):
            ledger.open_cohort("2026", cap=cap)
    assert again(tmp_path).cohorts == ("2025",)


def test_a_cost_that_understates_itself_is_not_reserved(tmp_path: Path) -> None:
    ledger = ledger_with(tmp_path)
    with pytest.raises(PrivacyError, match=r"costs 3\.995, not 1"):
        ledger.reserve(cost_of(rounds=100)._replace(replace_one=1.0), cohort="2025")


def test_a_ledger_can_be_held_to_a_line_that_others_have_seen(tmp_path: Path) -> None:
    cost = cost_of()
    ledger = ledger_with(tmp_path, cost)
    seen = ledger.head
    pay(ledger, cost)
    assert Ledger.open(tmp_path, IDENTITY, now, anchors=[seen, ledger.head]).head.seq == 3
    ahead = ledger.head._replace(seq=4)
    with pytest.raises(PrivacyError, match=r"anchored .*line 4"):
        Ledger.open(tmp_path, IDENTITY, now, anchors=[ahead])


def test_a_debit_takes_no_longer_after_two_hundred(tmp_path: Path) -> None:
    # Neither the chain is read nor a loss distribution composed again: the calls are counted.
    cost = cost_of(rounds=3000)
    ledger = ledger_with(tmp_path, cost, cap=100)
    calls = count_calls(ledger, cost, 0)
    for index in range(1, 200):
        pay(ledger, cost, index)
    assert count_calls(ledger, cost, 200) <= calls + 5


def count_calls(ledger: Ledger, cost: StudyCost, index: int) -> int:
    """Return how many Python functions one debit calls."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        pay(ledger, cost, index)
    finally:
        sys.setprofile(None)
    return calls
