import re
from typing import Any

import pytest

from simulation.drawing import MAIN_MARK, MARKS, mark
from simulation.figures import (
    adaptation_curves,
    complete_tasks,
    difference_curves,
    learning_curves,
    prevalence_alone,
)


def make_results(arms: tuple[str, ...] = ("fedavg", "x$y$ <&")) -> dict[str, Any]:
    def row(held: str, k: int, arm: str, metric: str) -> dict[str, Any]:
        at = {"held_out": held, "k": k, "arm": arm, "metric": metric, "tasks": 1}
        return at | {"mean": 0.6, "low": 0.5, "high": 0.7}

    metrics = ("auroc", "auprc", "brier", "log-loss")
    difference = {"k": 0, "minus": "fedavg", "mean": 0.1, "low": None, "high": None}
    return {
        "study": {"algorithm": {"name": arms[-1]}},
        "rows": [
            row(held, k, arm, metric)
            for held, ks in (("a", (0, 5)), ("b", (0,)), ("all", (0, 5)))
            for k in ks
            for arm in arms
            for metric in metrics
        ],
        "differences": [difference | {"metric": metric} for metric in ("auroc", "brier")],
        "learning_curve": [
            {"round": 10, "arm": arms[-1], "metric": metric, "mean": 0.5}
            for metric in ("auroc", "log-loss")
        ],
        "held_out": [
            {"held_out": "a", "test_patients": 10, "test_positive": 5},
            {"held_out": "b", "test_patients": 10, "test_positive": 1},
        ],
    }


DRAWINGS = (adaptation_curves, difference_curves, learning_curves)


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    return [draw(make_results()) for draw in DRAWINGS]


def test_a_drawing_is_one_svg_element_that_needs_nothing_else(drawn: list[str]) -> None:
    for svg in drawn:
        assert svg.startswith('<svg role="img" aria-label="')
        assert svg.rstrip().endswith("</svg>")
        assert not re.search(r"<text|<metadata|<image|font-family|<!DOCTYPE", svg)


def test_the_same_results_give_the_same_drawing(drawn: list[str]) -> None:
    assert [draw(make_results()) for draw in DRAWINGS] == drawn


def test_a_name_is_neither_markup_nor_mathematics(drawn: list[str]) -> None:
    for svg in drawn:
        assert "x$y$ <&" not in svg
        assert "x$y$ &lt;&amp;" in svg  # in a comment beside the outlines


def test_drawings_share_no_id(drawn: list[str]) -> None:
    one, two, three = (set(re.findall(r"\bid=\"([^\"]*)\"", svg)) for svg in drawn)
    assert len(one | two | three) == len(one) + len(two) + len(three)


def test_arms_differ_in_color_marker_and_dashes_and_the_tested_one_is_boldest() -> None:
    marks = [*MARKS.values(), MAIN_MARK]
    for field in ("color", "marker", "dashes"):
        assert len({getattr(mark, field) for mark in marks}) == len(marks)
    assert min(MAIN_MARK.width - mark.width for mark in MARKS.values()) > 1


def test_means_are_over_tasks_scored_at_every_k() -> None:
    assert complete_tasks(make_results()) == ["a"]
    assert complete_tasks(make_results() | {"rows": []}) == []


def test_prevalence_alone_is_what_a_constant_prediction_reaches() -> None:
    # Task a alone counts: 5 of 10 positive, so Brier 0.5 * 0.5, log-loss log 2, precision 0.5.
    found = prevalence_alone(make_results())
    expected = {"auroc": 0.5, "auprc": 0.5, "brier": 0.25, "log-loss": 0.6931}
    assert found == pytest.approx(expected, abs=1e-4)
    assert prevalence_alone(make_results() | {"rows": []}) == {}


def test_no_two_arms_of_a_picture_look_alike() -> None:
    arms = ("gated", "local-logistic", "fedavg-task", "fedavg-task-finetune", "maml-task")
    looks = {(m.color, m.marker, str(m.dashes)) for m in (mark(arm, "gated") for arm in arms)}
    assert len(looks) == len(arms)
