from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.benefit import JUDGES, PER_CLASS, Judged, benefit, difference_interval, draw, possible
from client.benefit_words import OTHERS, sentence
from client.evidence import ADAPTED
from common.errors import SettingsError, TableError
from common.metrics import areas, log_losses
from common.randomness import generator

Table = Callable[..., Path]
Y = np.array([1] * 20 + [0] * 40)


def test_k_goes_as_far_as_enough_patients_are_left_to_judge() -> None:
    assert possible(Y, None, where="t") == [5, 10, 20]
    assert possible(Y, [44, 7, 7], where="t") == [7, 44]
    with pytest.raises(SettingsError, match="k = 45 leaves too few of 60"):
        possible(Y, [5, 45], where="t")
    for few in (Y[:20], Y[10:30][:20], Y[16:56]):
        with pytest.raises(TableError, match="too few to judge"):
            possible(few, None, where="t")


def test_draws_are_nested_in_k_and_those_who_judge_were_not_adapted_to() -> None:
    little, much = (draw(Y, k, 25, seed=1, where="t") for k in (5, 20))
    assert (little.support == much.support[:, :5]).all()
    for drawn in (little, much):
        for support, judging in zip(drawn.support, drawn.judging, strict=True):
            assert not judging[support].any()
            assert judging.sum() == 60 - len(support) >= JUDGES
            assert np.bincount(Y[judging]).min() >= PER_CLASS
    assert len({tuple(row) for row in little.support}) == 25
    assert (draw(Y, 5, 25, seed=1, where="t").support == little.support).all()


def test_a_k_that_leaves_no_class_to_judge_on_is_refused() -> None:
    y = np.array([1] * 5 + [0] * 100)
    with pytest.raises(SettingsError, match="hardly ever has 4 patients of each class"):
        draw(y, 89, 20, seed=0, where="t")


@pytest.mark.parametrize("metric", ["auroc", "brier", "log-loss"])
def test_metrics_without_each_patient_are_those_of_the_others(metric: str) -> None:
    rng = generator("judged")
    y, p = np.array([1] * 6 + [0] * 9), rng.random((3, 15)).round(1)  # with ties
    judging = np.ones((3, 15), dtype=bool)
    judging[0, [0, 7]] = judging[1, [3, 14]] = judging[2, [1, 2]] = False
    made = Judged(metric, y, p, judging)

    def slow(d: int, rows: Any) -> float:
        if metric == "auroc":
            return float(areas(y[rows], p[d][None, rows])[0])
        loss = (p[d] - y) ** 2 if metric == "brier" else log_losses(y, p[d])
        return float(loss[rows].mean())

    for d in range(3):
        rows = np.flatnonzero(judging[d])
        assert made.whole[d] == pytest.approx(slow(d, rows))
        for i in range(15):
            if judging[d, i]:
                assert made.without[d, i] == pytest.approx(slow(d, rows[rows != i]))
            else:
                assert np.isnan(made.without[d, i])


def test_the_interval_holds_the_truth_though_draws_reuse_patients() -> None:
    # A way that adapts to nothing but the mean of its support, against a constant, on patients from
    # N(0, 1): the loss difference at k is 1 / k in truth. The spread over draws alone would claim
    # an error of a third of the real one.
    rng, k, n, number, held = generator("truth"), 5, 40, 60, 0
    narrow = 0
    for _ in range(150):
        value = rng.standard_normal(n)
        support = np.array([rng.permutation(n)[:k] for _ in range(number)])
        judging = np.ones((number, n), dtype=bool)
        np.put_along_axis(judging, support, values=False, axis=1)
        loss = (value - value[support].mean(1, keepdims=True)) ** 2
        one, other = (FakeJudged(each, judging) for each in (loss, value**2 + 0 * loss))
        low, high = difference_interval(one, other)
        held += low <= 1 / k <= high
        gaps = one.whole - other.whole
        narrow += abs(gaps.mean() - 1 / k) < 1.96 * gaps.std(ddof=1) / number**0.5
    assert held >= 138
    assert narrow < 135


class FakeJudged(Judged):
    """Losses that are given."""

    def __init__(self, each: Any, judging: Any) -> None:
        self.judging = judging
        total, n = np.where(judging, each, 0).sum(1, keepdims=True), judging.sum(1, keepdims=True)
        self.whole = (total / n)[:, 0]
        self.without = np.where(judging, (total - each) / (n - 1), np.nan)


def row(*gaps: tuple[float, float]) -> dict[str, Any]:
    return {
        "k": 10,
        "differences": {
            other: {"log-loss": {"mean": sum(ends) / 2, "low": ends[0], "high": ends[1]}}
            for other, ends in zip(OTHERS, gaps, strict=True)
        },
    }


BETTER, WORSE, UNCLEAR = (-0.3, -0.1), (0.1, 0.3), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        ((BETTER, BETTER, BETTER, BETTER), "adapt; clearly better than going alone"),
        ((WORSE, BETTER, BETTER, BETTER), "go alone; adapting is clearly worse than local-only"),
        ((BETTER, WORSE, UNCLEAR, BETTER), "use the shared model as it is"),
        ((BETTER, BETTER, WORSE, BETTER), "use the shared model, corrected for prevalence only"),
        ((BETTER, BETTER, BETTER, WORSE), "use no model"),
        ((WORSE, (0.2, 0.6), BETTER, BETTER), "use the shared model as it is"),
        (
            (BETTER, BETTER, BETTER, UNCLEAR),
            "do not go alone; adapting is clearly better than local-only, zero-shot and zero-shot "
            "+ intercept, not clearly than prevalence-only.",
        ),
        ((UNCLEAR, BETTER, BETTER, BETTER), "not clearly than local-only."),
        ((UNCLEAR, UNCLEAR, UNCLEAR, UNCLEAR), "nothing clear"),
    ],
)
def test_the_sentence_says_what_to_do_also_when_it_is_nothing(gaps: Any, words: str) -> None:
    assert words in sentence(row(*gaps))


def test_the_whole_command_compares_all_ways_at_every_k(model: Path, table: Table) -> None:
    found = benefit(model, table(60), "gout", None, draws=20)
    assert [r["k"] for r in found["rows"]] == [5, 10, 20]
    for r in found["rows"]:
        assert set(r["means"]) == {ADAPTED, *OTHERS}
        for gaps in r["differences"].values():
            for gap in gaps.values():
                assert gap["low"] <= gap["mean"] <= gap["high"]
        assert r["sentence"].startswith(f"With {r['k']} labelled patients")
    assert found == benefit(model, table(60), "gout", None, draws=20)
    assert found["rows"] != benefit(model, table(60), "gout", None, draws=20, seed=1)["rows"]


def test_random_labels_give_no_way_an_order(model: Path, table: Table) -> None:
    gout = generator("shuffled").integers(0, 2, 120)
    found = benefit(model, table(120, gout=gout), "gout", [20], draws=20)
    assert abs(found["rows"][0]["means"][ADAPTED]["auroc"] - 0.5) < 0.1
    assert "adapt;" not in found["rows"][0]["sentence"]
