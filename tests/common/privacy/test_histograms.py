import math

import numpy as np
import pytest

from common.errors import PrivacyError, TableError
from common.privacy.histograms import BINS, Declared, Floats, noisy, require_sizes, votes
from common.randomness import generator


def drawn(dim: int, std: float) -> Floats:
    return std * generator("histogram").standard_normal(dim)


def test_votes_are_counted_by_class_and_bin() -> None:
    scores = np.array([0.0, 0.05, 0.1, 0.55, 0.99, 1.0])
    labels = np.array([0, 1, 0, 1, 1, 1])
    counts = votes(scores, labels, np.arange(6))
    assert counts.tolist() == [[1, 1, *[0] * 8], [1, 0, 0, 0, 0, 1, 0, 0, 0, 2]]


def test_rows_without_slot_label_or_score_have_no_vote() -> None:
    scores = np.array([0.5, 0.5, 0.5, np.nan, -0.1, 1.1, np.inf])
    labels = np.array([1, 1, -1, 1, 1, 1, 1])
    slots = np.array([3, -1, 4, 5, 6, 7, 8])
    assert votes(scores, labels, slots).sum() == 1
    idle = np.array([-1] * 7)  # idle rows share a number, and it is no slot
    assert votes(scores, labels, idle).sum() == 0


def test_a_patient_has_one_vote() -> None:
    with pytest.raises(TableError, match="two votes"):
        votes(np.array([0.2, 0.9]), np.array([0, 1]), np.array([4, 4]))


def test_a_patient_moves_the_counts_by_no_more_than_is_accounted_for() -> None:
    rng = generator("votes")
    scores, labels = rng.random(50), rng.integers(0, 2, 50)
    slots = np.arange(50)
    whole = votes(scores, labels, slots)
    for row in range(50):
        emptied, other, label = slots.copy(), scores.copy(), labels.copy()
        emptied[row], other[row], label[row] = -1, rng.random(), rng.integers(0, 2)
        assert np.linalg.norm(whole - votes(scores, labels, emptied)) == 1
        assert np.linalg.norm(whole - votes(other, label, slots)) <= math.sqrt(2) + 1e-12


def test_noise_is_of_the_size_asked_for_and_whole() -> None:
    counts = np.full((2, 50_000), 7)
    moved = noisy(counts, std=10.0, gaussian=drawn) - counts
    assert moved.dtype == np.int64
    # Of 100,000 draws the deviation has standard error 10 / sqrt(2e5) = .022; rounding adds 1/12.
    assert abs(moved.std() - math.sqrt(100 + 1 / 12)) < 5 * 0.022
    assert abs(moved.mean()) < 5 * 10 / math.sqrt(100_000)


def test_counts_without_noise_do_not_leave() -> None:
    counts = np.ones((2, BINS), dtype=np.int64)
    for std in (0.0, -1.0, math.nan):
        with pytest.raises(PrivacyError, match="no noise"):
            noisy(counts, std=std, gaussian=drawn)
    for source in (
        lambda dim, std: np.zeros(dim),
        lambda dim, std: np.full(dim, np.nan),
        lambda dim, std: np.ones(1),
    ):
        with pytest.raises(PrivacyError, match="no noise"):
            noisy(counts, std=10.0, gaussian=source)


def test_small_evaluations_are_refused_on_declared_sizes() -> None:
    enough = [Declared(10, 10)] * 3
    require_sizes(enough)
    with pytest.raises(PrivacyError, match="2 sites are too few"):
        require_sizes(enough[:2])
    for few in (Declared(9, 500), Declared(500, 9)):
        with pytest.raises(PrivacyError, match="fewer than 10 patients of a class"):
            require_sizes([*enough, few])
