from typing import Any

import numpy as np
import pytest

from simulation.compare import results
from simulation.compare.results import HARM, LOCAL, Table
from simulation.compare.scoring import GATED
from simulation.statistics import cluster_bootstrap

HEAD = {"dataset": "d", "scenario": "s"}
Values = dict[tuple[str, int, str], float]
"""Task, k and arm to AUROC; a task is `site / diagnosis`."""


def unit(values: Values, *, seed: int = 0, error: float = 0.0, metric: str = "auroc") -> Any:
    """One unit's scores; the local arm, which every unit has, is 0.5 where none is given."""
    values = {(name, k, LOCAL): 0.5 for name, k, _ in values} | values
    names = list(dict.fromkeys(name for name, _, _ in values))
    return {
        "seed": seed,
        "tasks": [{"held_out": name, "site": name.split(" / ")[0]} for name in names],
        "scores": [[name, k, arm, metric, v, error] for (name, k, arm), v in values.items()],
        "sets": [],
    }


def table(*units: Any, generated: bool = False) -> Table:
    return Table(units, generated=generated)


def row(found: Table, metric: str, arm: str, k: int = 5, held_out: str = "all") -> dict[str, Any]:
    want = {"metric": metric, "arm": arm, "k": k, "held_out": held_out}
    (made,) = [r for r in results.rows(found, HEAD, 0) if want.items() <= r.items()]
    return made


def gate_and_local(*pairs: tuple[float, float], sites: str = "ABCDEFGH") -> Values:
    """One task a site: the gate's AUROC and the local logistic regression's."""
    values: Values = {}
    for site, (gate, local) in zip(sites, pairs, strict=False):
        values |= {(f"{site} / gout", 5, GATED): gate, (f"{site} / gout", 5, LOCAL): local}
    return values


def test_real_tasks_are_averaged_over_seeds_before_all_else() -> None:
    # A: (.6 + .8) / 2 = .7 in two seeds; B: .9 in the first alone. Their mean is .8, not .767.
    first = {("A / gout", 5, GATED): 0.6, ("B / gout", 5, GATED): 0.9}
    second = {("A / gout", 5, GATED): 0.8}
    found = table(unit(first), unit(second, seed=1))
    assert row(found, "auroc", GATED)["mean"] == pytest.approx(0.8)
    assert row(found, "auroc", GATED)["tasks"] == 2


def test_the_error_of_a_mean_over_seeds_does_not_shrink() -> None:
    # Seeds share their patients: sqrt((.03^2 + .04^2) / 2) = .035355, not that over sqrt(2).
    values: Values = {("A / gout", 5, GATED): 0.7}
    found = table(unit(values, error=0.03), unit(values, seed=1, error=0.04))
    made = row(found, "auroc", GATED, held_out="A / gout")
    assert made["high"] - made["mean"] == pytest.approx(1.96 * 0.035355, abs=1e-6)


def test_generated_worlds_are_kept_apart() -> None:
    values: Values = {("A / gout", 5, GATED): 0.6}
    other: Values = {("A / gout", 5, GATED): 0.8}
    found = table(unit(values), unit(other, seed=1), generated=True)
    assert row(found, "auroc", GATED)["tasks"] == 2
    assert row(found, "auroc", GATED, held_out="A / gout (seed 1)")["mean"] == 0.8
    assert row(found, "worst_site_auroc", GATED)["mean"] == 0.6


def test_only_tasks_that_are_scored_at_every_k_are_in_the_means() -> None:
    values: Values = {
        ("A / gout", 5, GATED): 0.6,
        ("A / gout", 50, GATED): 0.7,
        ("B / gout", 5, GATED): 0.9,  # too small for k = 50
    }
    found = table(unit(values))
    assert row(found, "auroc", GATED)["mean"] == 0.6
    assert row(found, "auroc", GATED, held_out="B / gout")["mean"] == 0.9


def test_a_site_is_harmed_only_beyond_the_margin() -> None:
    # Behind the local model by .01 (inside the margin), by .03 (harmed), by .05 (harmed); ahead.
    found = table(unit(gate_and_local((0.69, 0.7), (0.67, 0.7), (0.65, 0.7), (0.8, 0.7))))
    assert pytest.approx(0.02) == HARM
    assert row(found, "harmed_rate", GATED)["mean"] == 0.5
    assert row(found, "harmed_rate", LOCAL)["mean"] == 0


def test_the_worst_site_is_that_of_least_mean_over_its_tasks() -> None:
    # A: (.5 + .9) / 2 = .7; B: .65 is worse, though A has the worst task.
    values: Values = {
        ("A / gout", 5, GATED): 0.5,
        ("A / stroke", 5, GATED): 0.9,
        ("B / gout", 5, GATED): 0.65,
    }
    found = table(unit(values, error=0.01))
    made = row(found, "worst_site_auroc", GATED)
    assert made["mean"] == 0.65
    assert made["high"] == pytest.approx(0.65 + 1.96 * 0.01)


def test_a_worst_sites_error_is_that_of_a_mean_of_its_tasks() -> None:
    # One site, two tasks: sqrt(.03^2 + .04^2) / 2 = .025.
    values: Values = {("A / gout", 5, GATED): 0.7, ("A / stroke", 5, GATED): 0.7}
    one = unit(values)
    one["scores"] = [
        [name, k, arm, metric, v, 0.03 if "gout" in name else 0.04]
        for name, k, arm, metric, v, _ in one["scores"]
    ]
    made = row(table(one), "worst_site_auroc", GATED)
    assert made["high"] - made["mean"] == pytest.approx(1.96 * 0.025)


def test_intervals_stay_within_what_a_metric_can_be() -> None:
    values: Values = {("A / gout", 5, GATED): 0.98}
    auroc = row(table(unit(values, error=0.1)), "auroc", GATED, held_out="A / gout")
    assert auroc["high"] == 1
    loss = table(unit(values), unit({("A / gout", 5, GATED): 0.1}, error=0.1, metric="log-loss"))
    assert row(loss, "log-loss", GATED, held_out="A / gout")["low"] == 0


def seen_by_bootstrap(sites: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the clusters of the gate's mean AUROC with two tasks at each site."""
    values: Values = {
        (f"{chr(65 + i)} / {task}", 5, arm): 0.7
        for i in range(sites)
        for task in ("gout", "stroke")
        for arm in (GATED, LOCAL)
    }
    seen: list[list[str]] = []

    def spy(values: Any, clusters: Any, **given: Any) -> tuple[float, float]:
        seen.append(list(clusters))
        return cluster_bootstrap(values, clusters, draws=2, **given)

    monkeypatch.setattr(results, "cluster_bootstrap", spy)
    list(results.rows(table(unit(values)), HEAD, 0))
    return seen[0]


def test_sites_are_resampled_from_five_on_and_tasks_below(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(seen_by_bootstrap(4, monkeypatch))) == 8
    assert len(set(seen_by_bootstrap(5, monkeypatch))) == 5


def three_arms() -> Table:
    """The gate is ahead of the local arm by .1, .2, .3, of FedAvg by .01, -.02 and .03."""
    values = gate_and_local((0.8, 0.7), (0.8, 0.6), (0.8, 0.5))
    values |= {
        (f"{s} / gout", 5, "fedavg"): v for s, v in zip("ABC", (0.79, 0.82, 0.77), strict=True)
    }
    brier = {key: 1 - v for key, v in values.items()}
    return table(unit(values), unit(brier, metric="brier"))


def test_tests_are_paired_over_sites_and_adjusted_over_arms() -> None:
    # All three differences are positive: two-sided p = 2 / 2^3 = .25, the least there is; Holm
    # doubles it. Ranks of .01, -.02, .03: plus = 1 + 3 of 6, of 8 signs 3 have 4 or more: p = .75.
    found = {t["minus"]: t for t in results.tests(three_arms(), 0) if t["metric"] == "auroc"}
    assert found[LOCAL]["p"] == 0.25
    assert found[LOCAL]["p_holm"] == 0.5
    assert found[LOCAL]["shift"] == pytest.approx(0.2)
    assert found[LOCAL]["mean"] == pytest.approx(0.2)
    assert found[LOCAL]["sites"] == 3
    assert found["fedavg"]["p"] == found["fedavg"]["p_holm"] == 0.75
    assert found[LOCAL]["low"] == pytest.approx(0.1)
    assert found[LOCAL]["high"] == pytest.approx(0.3)


def test_the_truth_is_no_rival_and_costs_no_adjustment() -> None:
    values = gate_and_local((0.8, 0.7), (0.8, 0.6), (0.8, 0.5))
    values |= {(f"{site} / gout", 5, "truth"): 0.99 for site in "ABC"}
    (made,) = results.tests(table(unit(values)), 0)
    assert (made["minus"], made["p_holm"]) == (LOCAL, 0.25)


def test_one_task_has_no_interval_of_a_difference() -> None:
    (made,) = results.tests(table(unit(gate_and_local((0.8, 0.7)))), 0)
    assert (made["low"], made["high"], made["p"]) == (None, None, 1)


def test_several_tasks_of_a_site_are_one_pair() -> None:
    values = gate_and_local((0.8, 0.7))
    values |= {("A / stroke", 5, GATED): 0.6, ("A / stroke", 5, LOCAL): 0.7}
    (made,) = results.tests(table(unit(values)), 0)
    assert made["sites"] == 1
    assert made["shift"] == pytest.approx(0)


def test_compared_names_the_best_baseline_and_counts_what_no_federation_has_apart() -> None:
    values: Values = {
        (f"{site} / gout", 5, arm): v
        for site in "ABC"
        for arm, v in {
            GATED: 0.8,
            LOCAL: 0.7,
            "fedavg": 0.75,
            "candidate:local": 0.9,
            "pooled-trees": 0.95,
            "truth": 0.99,
        }.items()
    }
    found = table(unit(values), unit(values, metric="brier"))
    auroc, brier = results.compared(found)
    assert (auroc["best"], auroc["best_baseline"]) == ("candidate:local", "fedavg")
    assert auroc["best_baseline_ahead"] == pytest.approx(0.05)
    # Of the Brier score less is better: the local arm is best, and the gate's lead is a loss.
    assert (brier["best_baseline"], brier["best"]) == (LOCAL, LOCAL)
    assert brier["best_baseline_ahead"] == pytest.approx(0.1)


def test_a_new_sites_interval_needs_three_sites_and_is_an_auroc() -> None:
    two = results.new_site(table(unit(gate_and_local((0.8, 0.7), (0.6, 0.5)), error=0.05)))
    assert {line["arm"] for line in two} == {GATED, LOCAL}
    assert all(line["low"] is None and line["high"] is None for line in two)
    pairs = ((0.9, 0.7), (0.6, 0.5), (0.7, 0.5))
    (gate, _) = results.new_site(table(unit(gate_and_local(*pairs), error=0.05)))
    # Student's t with one degree of freedom reaches far beyond 0 and 1.
    assert (gate["low"], gate["high"], gate["sites"]) == (0, 1, 3)


def test_coverage_is_the_mean_over_tasks() -> None:
    one, other = unit({}), unit({}, seed=1)
    one["sets"] = [{"held_out": "A", "k": 5, "covered": 0.8, "unlike": 0.0}]
    other["sets"] = [
        {"held_out": "A", "k": 5, "covered": 0.9, "unlike": 0.1},
        {"held_out": "A", "k": 20, "covered": 0.7, "unlike": 0.3},
    ]
    five, twenty = results.sets([one, other])
    assert (five["covered"], five["unlike"], five["tasks"]) == (0.85, 0.05, 2)
    assert (twenty["k"], twenty["covered"], twenty["nominal"]) == (20, 0.7, 0.9)


def test_seeds_are_shown_each_on_its_own() -> None:
    values = {("A / gout", 5, GATED): 0.6, ("B / gout", 5, GATED): 0.8}
    second: Values = {("A / gout", 5, GATED): 0.9}
    found = results.by_seed(table(unit(values), unit(second, seed=1)))
    assert [(line["seed"], line["mean"]) for line in found if line["arm"] == GATED] == [
        (0, 0.7),
        (1, 0.9),
    ]


def test_every_number_can_be_written() -> None:
    found = three_arms()
    numbers = [r[key] for r in results.rows(found, HEAD, 0) for key in ("mean", "low", "high")]
    assert np.isfinite(numbers).all()
