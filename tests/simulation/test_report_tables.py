"""The report's tables, and what is said where a table has nothing to show."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from simulation.report import report_html
from simulation.report_lists import MOST
from simulation.verdict import compared
from tests.pages import words
from tests.simulation.small_results import ARMS, SITE, make_results

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_the_best_of_each_column_is_bold_and_the_truth_does_not_compete() -> None:
    page = report_html(make_results((*ARMS, "truth")))
    means = page[page.index("<h2>All held-out tasks") : page.index("<h2>reptile minus")]
    assert set(re.findall(r"<strong>([^<]*)", means)) == {"0.900", "0.100"}
    assert "<th>truth</th><td>0.990" in means


def test_the_truth_is_never_named_as_the_best_other_arm() -> None:
    results = make_results((*ARMS, "truth"))
    assert {d["other"] for d in compared(results, "auroc")} == {"fedavg-finetune"}
    assert "which no method can know" in words(report_html(results))
    assert "which no method can know" not in words(report_html(make_results()))


def test_k_per_class_is_labelled_secondary() -> None:
    text = words(report_html(make_results()))
    assert "Secondary: k labelled patients of each class" in text
    assert "not what a ward meets" in text
    assert text.count("Secondary. ") == 2
    assert text.index("What this run says") < text.index("k = 10 of each class")


SHORT = f"{SITE} / stroke"
MISSING: list[tuple[str, Callable[[dict[str, Any]], bool], str]] = [
    ("learning_curve", lambda row: False, "There is no curve"),
    ("rows_per_class", lambda row: False, "mean over 0 tasks, 95 % interval: there is none."),
    ("choices", lambda row: False, "number of steps: there is none."),
    ("not_scored", lambda row: False, "None: all held-out tasks are scored."),
    ("differences", lambda row: False, "95 % interval over tasks: there is none."),
    ("rows", lambda row: row["k"] != 50, "No task has enough patients for k = 50."),
    ("rows", lambda row: row["held_out"] != "all", "no task is scored at every k."),
    (
        "rows",
        lambda row: (row["held_out"], row["k"]) != (SHORT, 50),
        f"Too few patients for every k, so not in the means: {SHORT}.",
    ),
]


@pytest.mark.parametrize(("part", "stays", "said"), MISSING)
def test_what_is_missing_is_said_to_be_missing(
    part: str, stays: Callable[[dict[str, Any]], bool], said: str
) -> None:
    results = make_results()
    results[part] = [row for row in results[part] if stays(row)]
    assert said in words(report_html(results))


def test_tables_show_three_decimals_and_a_true_minus() -> None:
    # AUROC: reptile 0.85, fedavg-finetune 0.90, interval 0.01 either way.
    text = words(report_html(make_results()))
    minus = "\N{MINUS SIGN}"
    assert f"{minus}0.050 {minus}0.060 to {minus}0.040 worse" in text


def test_of_very_many_scored_tasks_the_first_are_shown() -> None:
    results = make_results()
    (held, _) = results["held_out"]
    results["held_out"] = [held | {"held_out": f"{SITE} / {n}"} for n in range(1000)]
    page = report_html(results)
    assert page.count('<section class="task">') == MOST
    assert f"And {1000 - MOST} tasks more. results.json lists every one" in words(page)
