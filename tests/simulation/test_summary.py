from typing import Any

import numpy as np
import pytest

from common.metrics import METRICS, Estimate
from common.randomness import generator
from simulation.evaluation import Scores
from simulation.summary import ALL, complete_tasks, differences, rows


def scores(values: dict[tuple[str, int, str], float], error: float = 0.0) -> Scores:
    return {key: dict.fromkeys(METRICS, Estimate(v, error)) for key, v in values.items()}


HEAD: Any = {"dataset": "d", "scenario": "s", "seed": 0}
SITES = {"A / gout": "A", "B / gout": "B"}


def overall(found: Scores, sites: dict[str, str]) -> list[dict[str, object]]:
    made = rows(found, sites, **HEAD)
    return [r for r in made if r["held_out"] == ALL and r["metric"] == "auroc"]


def test_rows_over_all_tasks_are_means_of_the_tasks() -> None:
    found = scores({("A / gout", 5, "maml"): 0.6, ("B / gout", 5, "maml"): 0.8})
    (row,) = overall(found, SITES)
    assert row["mean"] == pytest.approx(0.7)
    # Two tasks resampled: the mean is .6, .7 or .8, so 95 % reach from one end to the other.
    assert (row["low"], row["high"]) == (pytest.approx(0.6), pytest.approx(0.8))
    assert row["tasks"] == 2


def test_a_curve_over_k_follows_the_same_tasks() -> None:
    found = scores(
        {
            ("A / gout", 5, "maml"): 0.6,
            ("A / gout", 50, "maml"): 0.7,
            ("B / gout", 5, "maml"): 0.8,  # too small for k = 50
        }
    )
    assert complete_tasks(found) == ["A / gout"]
    assert [r["mean"] for r in overall(found, SITES)] == [pytest.approx(0.6), pytest.approx(0.7)]


def test_one_tasks_interval_is_its_own_error() -> None:
    found = scores({("A / gout", 5, "maml"): 0.7}, error=0.05)
    made = rows(found, SITES, **HEAD)
    single = next(r for r in made if r["held_out"] == "A / gout" and r["metric"] == "auroc")
    assert (single["low"], single["high"]) == (pytest.approx(0.602), pytest.approx(0.798))
    (whole,) = overall(found, SITES)
    assert whole["low"] == pytest.approx(0.602, abs=0.01)


def test_intervals_stay_inside_what_is_possible() -> None:
    found = scores({("A / gout", 5, "maml"): 0.99}, error=0.05)
    made = rows(found, SITES, **HEAD)
    assert all(r["high"] <= 1 for r in made if r["metric"] in {"auroc", "auprc", "brier", "ece"})
    low = rows(scores({("A / gout", 5, "maml"): 0.01}, error=0.05), SITES, **HEAD)
    below = {r["metric"] for r in low if r["low"] < 0}
    assert below == {"calibration_slope", "calibration_intercept"}


def test_a_task_without_a_metric_counts_in_no_mean_of_it() -> None:
    found = scores({(str(site), 5, "maml"): site / 10 for site in range(7)})
    del found["0", 5, "maml"]["calibration_slope"]
    made = rows(found, {str(site): str(site) for site in range(7)}, **HEAD)
    slopes = [r for r in made if r["metric"] == "calibration_slope"]
    assert [r["held_out"] for r in slopes] == [*"123456", ALL]
    assert slopes[-1]["tasks"] == 6
    assert slopes[-1]["mean"] == pytest.approx(0.35)


def test_tasks_of_one_site_are_not_independent_evidence() -> None:
    # Six sites with four equal tasks each: resampling sites must give a wider interval than 24
    # independent tasks would.
    rng = generator("sites")
    value = {f"{s} / {t}": float(v) for s, v in enumerate(rng.random(6)) for t in range(4)}
    found = scores({(name, 5, "maml"): v for name, v in value.items()})
    by_site = overall(found, {name: name[0] for name in value})[0]
    one_site = overall(found, dict.fromkeys(value, "x"))[0]
    width = [float(str(r["high"])) - float(str(r["low"])) for r in (by_site, one_site)]
    assert width[0] > 1.5 * width[1]


def test_differences_are_paired_by_task() -> None:
    values = {}
    for i, level in enumerate(np.linspace(0.5, 0.9, 8)):  # hard and easy tasks, always .02 better
        values[f"{i}", 5, "fedavg"] = float(level)
        values[f"{i}", 5, "maml"] = float(level) + 0.02
    (row,) = differences(
        scores(values), {str(i): str(i) for i in range(8)}, "maml", metric="auroc", seed=0
    )
    assert (row["minus"], row["k"], row["tasks"]) == ("fedavg", 5, 8)
    assert [row[key] for key in ("mean", "low", "high")] == pytest.approx([0.02] * 3)


def test_one_task_gives_a_difference_without_an_interval() -> None:
    found = scores({("A", 5, "maml"): 0.7, ("A", 5, "fedavg"): 0.6})
    (row,) = differences(found, {"A": "A"}, "maml", metric="auroc", seed=0)
    assert row["mean"] == pytest.approx(0.1)
    assert row["low"] is row["high"] is None
