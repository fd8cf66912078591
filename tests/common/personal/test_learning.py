"""A gate as it is learned from validation tasks."""

import math

import numpy as np
import pytest
import torch

from common.personal.candidates import Candidate
from common.personal.gate import mix, prior_log_weights
from common.personal.learning import learn
from tests.common.personal.planted import GOOD, PREVALENCE, applied, auroc, log_loss, tasks


def test_the_weight_goes_to_the_candidate_that_knows_and_costs_it_nothing() -> None:
    at = learn({6: tasks(10)}).for_patients(6)
    for task in tasks(5, first=100):
        found = applied(at, task)
        weights = found.weights.mean(1)
        assert weights.argmax() == 1
        assert weights[1] > 0.7
        assert weights[2:].sum() < 0.1  # the rest is the prevalence's, which changes no order
        good = task.panel.logits[1]
        assert auroc(found.logits, task.y) == pytest.approx(auroc(good, task.y), abs=0.01)
        assert log_loss(found.logits, task.y) < log_loss(good, task.y) + 0.01


def test_overconfident_logits_are_shrunk() -> None:
    # Equal patients, logits three times as large: a third of the scale would be fair.
    alone = (PREVALENCE, GOOD)
    fair = tasks(10, candidates=alone)
    loud = [t._replace(panel=t.panel._replace(logits=3 * t.panel.logits)) for t in fair]
    a, b = (learn({6: given}).for_patients(6) for given in (fair, loud))
    assert b.scale < 0.7 * a.scale


def test_a_candidate_that_is_no_number_on_a_validation_task_spoils_no_weight() -> None:
    given = tasks(6)
    for task in given:
        task.panel.logits[3] = float("nan")
    at = learn({6: given}).for_patients(6)
    assert all(map(math.isfinite, (*at.log_weights.values(), at.scale, at.bias, at.own_evidence)))


def test_learning_is_deterministic() -> None:
    given = {0: tasks(3, k=0), 6: tasks(3)}
    assert learn(given) == learn(given)


def test_learning_needs_tasks() -> None:
    with pytest.raises(ValueError, match="validation tasks"):
        learn({5: []})


def test_a_k_without_tasks_is_left_out_and_the_tasks_are_counted() -> None:
    gate = learn({2: [], 6: tasks(3)})
    assert list(gate.at) == [6]
    assert gate.tasks == 3


def test_no_patients_and_some_patients_are_learned_apart() -> None:
    # The k = 0 candidates differ, and no smoothness between k may tie the two.
    start = Candidate("maml", "zero")
    without = tasks(3, k=0, candidates=(PREVALENCE, start))
    gate = learn({0: without, 6: tasks(3)})
    assert set(gate.at[0].log_weights) == {"prevalence", "maml/zero"}
    assert gate.at[0] == learn({0: without}).at[0]
    assert gate.at[6] == learn({6: tasks(3)}).at[6]


def test_with_labels_that_nothing_foretells_the_gate_is_as_good_as_the_prevalence() -> None:
    gate = learn({6: tasks(12, shuffled=True)})
    found, losses = [], []
    for task in tasks(20, first=500, shuffled=True, n=100):
        logits = applied(gate.for_patients(6), task).logits
        found.append(auroc(logits, task.y))
        losses.append(log_loss(logits, task.y) - log_loss(task.panel.logits[0], task.y))
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / len(found) ** 0.5)
    assert np.mean(losses) < 0.01


def test_few_tasks_leave_the_weights_near_the_prior() -> None:
    # Nothing foretells anything: the penalty holds the starts' shares where they were.
    at = learn({6: tasks(12, shuffled=True, signal=0.1)}).for_patients(6)
    names = list(at.log_weights)
    moved = torch.tensor([at.log_weights[n] for n in names]) - prior_log_weights(names)
    assert moved.abs().max() < 2


def test_where_nothing_orders_the_patients_everybody_gets_the_prevalence() -> None:
    # The one candidate ranks against the diagnosis, as starts do of a new one.
    start = Candidate("maml", "zero")
    given = tasks(4, k=0, candidates=(PREVALENCE, start))
    against = []
    for task in given:
        even, ranked = task.panel.logits
        wrong = -3 * (2 * task.y - 1).float().expand_as(ranked)
        logits = torch.stack([torch.zeros_like(even), wrong])
        against.append(task._replace(panel=task.panel._replace(logits=logits)))
    gate = learn({0: against})
    assert set(gate.at[0].log_weights) == {"prevalence"}
    prevalence = sum(float(task.y.float().mean()) for task in against) / len(against)
    for task in against:
        p = mix(gate.at[0], task.panel, task.support_y).logits.sigmoid()
        assert p.flatten().tolist() == pytest.approx([prevalence] * p.numel(), abs=1e-5)
