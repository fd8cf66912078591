from functools import cache

import numpy as np
import pytest
import torch

from common.personal.candidates import Candidate, Panel
from common.personal.conformal import (
    FAMILIAR,
    GRID,
    Floats,
    Reference,
    learn_references,
    prediction_sets,
    scores,
    thresholds,
)
from common.personal.gate import Gate, Scale
from common.personal.learning import Judged
from common.randomness import generator

ONE = Candidate("", "prevalence")
AT = Scale({ONE.name: 0.0}, 0.0, 1.0, 0.0, 0.0)
NONE = np.zeros(0)


def logits(p: Floats) -> torch.Tensor:
    return torch.from_numpy(p).logit()[None, None].float()


def judged(p: Floats, y: Floats, unlikeness: float = 0.0) -> Judged:
    """A task without support whose one candidate, and so the gate, gives the probabilities p."""
    panel = Panel((ONE,), logits(p), torch.zeros(1, 1, 0), torch.full((1, len(p)), unlikeness))
    return Judged(panel, torch.zeros(1, 0), torch.from_numpy(y))


def uniform() -> Reference:
    """Scores that are uniform on 0..1, of both labels."""
    return Reference((GRID, GRID), 1.0)


def drawn(*key: str | int, n: int) -> tuple[Floats, Floats]:
    """Probabilities of a task, beta-distributed as it happens there, and labels that follow them.

    Tasks differ in prevalence and in how much is known of their patients.
    """
    rng = generator("conformal", *key)
    prevalence, spread = rng.uniform(0.2, 0.4), rng.uniform(1.5, 3)
    p = rng.beta(spread * prevalence, spread * (1 - prevalence), n).clip(1e-4, 1 - 1e-4)
    return p, (rng.random(n) < p).astype(float)


@cache
def reference() -> Reference:
    tasks = [judged(*drawn("federation", i, n=200)) for i in range(200)]
    return learn_references(Gate({0: AT}, 200), {0: tasks})[0]


@cache
def covered(k: int, coverage: float) -> tuple[float, float]:
    """Mean over 200 new hospitals of each label's share of patients whose label is in the set."""
    shares: tuple[list[float], list[float]] = ([], [])
    for i in range(200):
        p, y = drawn("hospital", i, n=200 + k)
        limits = thresholds(reference(), p[:k], y[:k], coverage)
        sets = prediction_sets(p[k:], limits)
        for label in (0, 1):
            shares[label].append(float(sets[y[k:] == label, label].mean()))
    return float(np.mean(shares[0])), float(np.mean(shares[1]))


def test_a_score_is_how_little_a_label_is_given() -> None:
    assert scores(np.array([0.9, 0.2]), 1).tolist() == pytest.approx([0.1, 0.8])
    assert scores(np.array([0.9, 0.2]), 0).tolist() == [0.9, 0.2]


@pytest.mark.parametrize("k", [0, 5, 20, 100])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_each_labels_sets_cover_what_they_promise_within_two_points(
    k: int, coverage: float
) -> None:
    assert covered(k, coverage) == pytest.approx((coverage, coverage), abs=0.02)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95, 0.99])
def test_without_own_patients_the_federations_quantile_is_the_limit(coverage: float) -> None:
    limits = thresholds(uniform(), NONE, NONE, coverage)
    assert limits.tolist() == pytest.approx([coverage, coverage], abs=1 / 200)


def test_limits_grow_with_coverage() -> None:
    p, y = drawn("monotone", n=30)
    grid = np.linspace(0, 1, 101)
    limits = np.array([thresholds(reference(), p, y, c) for c in grid])
    assert (np.diff(limits, axis=0) >= 0).all()
    assert limits[-1].tolist() == [1, 1]


def test_the_federations_scores_weigh_as_much_as_twenty_patients_by_hand() -> None:
    # Half of the federation's scores are 0 (101 of 201: 10.05 patients' worth), half are 1. Own
    # scores of the label 1: 0.2, 0.4, 0.6. They are 3 of 23, and so is the unbounded score's part
    # of a patient: coverage 1/2 of 23.13 needs 11.57. The zeros and one own patient make 11.05,
    # the zeros and two 12.05. Of the label 0 no patient is known: 1/2 of 20 is 10.
    half = np.repeat([0.0, 1.0], [101, 100])
    own = np.array([0.8, 0.6, 0.4])
    found = thresholds(Reference((half, half), 1.0), own, np.ones(3), 0.5)
    assert found[1] == pytest.approx(0.4)
    assert found[0] == 0


def test_own_patients_move_the_limit_of_their_own_label_alone() -> None:
    before = thresholds(uniform(), NONE, NONE, 0.8)
    after = thresholds(uniform(), np.full(15, 0.99), np.ones(15), 0.8)
    assert after[0] == before[0]
    assert after[1] < before[1] - 0.05


def test_many_own_patients_outweigh_the_federation() -> None:
    p = 1 - np.linspace(0, 0.1, 5000)
    _, limit = thresholds(uniform(), p, np.ones(5000), 0.9)
    assert limit == pytest.approx(0.09, abs=0.002)


def test_a_label_is_in_the_set_up_to_its_limit() -> None:
    # Limits 0.3 for the label 0, whose score is p, and 0.6 for the label 1, whose score is 1 - p.
    sets = prediction_sets(np.array([0.1, 0.3, 0.35, 0.4, 0.9]), np.array([0.3, 0.6]))
    assert sets.tolist() == [
        [True, False],
        [True, False],
        [False, False],
        [False, True],
        [False, True],
    ]


def test_references_are_the_tasks_quantiles_each_task_counting_alike() -> None:
    # A task with one patient of the label 1 whose score is 0.8, and one with three of 0.2.
    one = judged(np.array([0.2, 0.3]), np.array([1.0, 0.0]), unlikeness=0.4)
    three = judged(np.array([0.8, 0.8, 0.8, 0.5]), np.array([1.0, 1.0, 1.0, 0.0]), unlikeness=0.6)
    found = learn_references(Gate({5: AT}, 2), {5: [one, three]})
    without, with_it = found[5].scores
    assert with_it.shape == without.shape == GRID.shape
    assert with_it[[0, 99, 101, 200]].tolist() == pytest.approx([0.2, 0.2, 0.8, 0.8], abs=1e-5)
    assert without[[0, 99, 101, 200]].tolist() == pytest.approx([0.3, 0.3, 0.5, 0.5], abs=1e-5)
    assert found[5].familiar == pytest.approx(0.5)


def test_one_in_a_hundred_validation_patients_is_unfamiliar() -> None:
    task = judged(*drawn("familiar", n=1001))
    unlike = torch.linspace(0, 1, 1001)[None]
    task = task._replace(panel=task.panel._replace(unlikeness=unlike))
    found = learn_references(Gate({0: AT}, 1), {0: [task]})
    assert found[0].familiar == pytest.approx(FAMILIAR, abs=1e-6)


def test_without_a_federation_the_hospitals_own_scores_alone_decide() -> None:
    alone = Reference((np.ones(len(GRID)), np.ones(len(GRID))), 1.0, trust=0.0)
    own_p, own_y = np.linspace(0.05, 0.45, 9), np.zeros(9)
    # Split conformal: of 9 scores and the new patient's, 90 % is the largest of the 9.
    assert thresholds(alone, own_p, own_y, 0.9).tolist() == [0.45, 1.0]
    assert thresholds(alone, own_p[:8], own_y[:8], 0.9).tolist() == [1.0, 1.0]
