"""The votes of a site on a model: its own score of each patient, one vote each, and noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from common.episodes import Site, Task
from common.errors import PrivacyError, TableError
from common.learner import Learner, make_learner
from common.parameters import flatten
from common.privacy.histograms import BINS, CELLS, Integers
from common.randomness import derived_key, generator
from common.study import Study
from common.voting import released_votes, virtual_votes_key

TINY = 1e-3
"""Noise that is rounded away: what is left is the counts."""


@pytest.fixture
def learner(ward_study: Study) -> Learner:
    return make_learner(ward_study, seed=0)


def site_of(learner: Learner, patients: int = 40, slots: int = 50) -> Site:
    rng = generator("voting")
    inputs = learner.initial["0.weight"].shape[1]
    x = rng.standard_normal((patients, inputs)).astype(np.float32)
    slot = rng.permutation(slots)[:patients]
    return Site("Ash", b"k" * 32, [Task("gout", x, np.arange(patients) % 2, slot)], slots=slots)


def cast(learner: Learner, site: Site, task: str = "gout", std: float = TINY) -> Integers:
    meta = 2 * flatten(learner.initial)
    return released_votes(learner, meta, site, task, std=std, key=derived_key("votes"))


def test_each_patient_has_one_vote_by_class_and_by_the_models_own_score(learner: Learner) -> None:
    site = site_of(learner)
    params = {name: 2 * p for name, p in learner.initial.items()}
    task = site.tasks[0]
    scores = learner.logits(params, torch.from_numpy(task.x)).softmax(-1)[:, 1].detach().numpy()
    expected = np.zeros((2, BINS), dtype=np.int64)
    for y, score in zip(task.y, scores, strict=True):
        expected[y, min(int(float(score) * BINS), BINS - 1)] += 1
    assert np.array_equal(cast(learner, site), expected.reshape(-1))
    assert (expected > 0).sum() > 5, "the model must spread its scores for this test to count"


def test_a_patient_exchanged_moves_one_vote_whatever_the_others_are(learner: Learner) -> None:
    site = site_of(learner)
    task = site.tasks[0]
    before = cast(learner, site)
    for row in range(0, 40, 7):
        x, y = task.x.copy(), task.y.copy()
        x[row], y[row] = -3 * x[row], 1 - y[row]
        moved = cast(learner, replace(site, tasks=[replace(task, x=x, y=y)])) - before
        assert sorted(moved[moved != 0].tolist()) == [-1, 1]
        gone = np.arange(40) != row
        left = replace(task, x=task.x[gone], y=task.y[gone], patient=task.patient[gone])
        lost = cast(learner, replace(site, tasks=[left])) - before
        assert lost[lost != 0].tolist() == [-1]


def test_two_rows_of_a_slot_are_refused(learner: Learner) -> None:
    site = site_of(learner)
    task = site.tasks[0]
    twice = replace(task, patient=np.minimum(task.patient, 20))
    with pytest.raises(TableError, match="two votes"):
        cast(learner, replace(site, tasks=[twice]))


def test_a_site_without_the_task_sends_noise_like_any_other(learner: Learner) -> None:
    released = [cast(learner, site_of(learner), task, std=10.0) for task in ("gout", "none")]
    assert all(one.any() for one in released)
    assert abs(released[0].sum() - released[1].sum() - 40) < 1  # the same noise, without the 40


def test_noise_has_the_studys_size_and_is_never_left_out(learner: Learner) -> None:
    site, meta = site_of(learner), flatten(learner.initial)
    drawn = [
        released_votes(learner, meta, site, "none", std=10.0, key=derived_key("votes", i))
        for i in range(100)
    ]
    found = np.concatenate(drawn)
    # 2000 draws: the standard error of their standard deviation is 10 / sqrt(4000) = .16.
    assert found.shape == (100 * CELLS,)
    assert found.std() == pytest.approx(10.0, abs=0.6)
    with pytest.raises(PrivacyError, match="no noise"):
        released_votes(learner, meta, site, "gout", std=0.0, key=derived_key("votes"))


def test_whatever_is_asked_has_noise_of_its_own() -> None:
    keys = {
        virtual_votes_key(site, release, task, fresh)
        for site in (b"a" * 32, b"b" * 32)
        for release in (1, 2)
        for task in ("gout", "anaemia")
        for fresh in (0, 1)
    }
    assert len(keys) == 16
