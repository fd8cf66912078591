"""Reconstruction works where nothing protects, so that its failure elsewhere says something."""

import pytest

from common.study_sections import Profile
from simulation.attack.reconstruction import attack_once


def found(algorithm: str, profile: Profile, seeds: range) -> float:
    counts = [attack_once(algorithm, profile, seed) for seed in seeds]
    return sum(n for n, _ in counts) / sum(n for _, n in counts)


@pytest.mark.parametrize(("algorithm", "at_least"), [("reptile", 0.6), ("fomaml", 0.8)])
def test_without_protection_most_patients_of_a_task_are_read_out(
    algorithm: str, at_least: float
) -> None:
    assert found(algorithm, "none", range(10)) >= at_least


def test_the_exact_meta_gradient_gives_patients_away_too() -> None:
    assert found("maml", "none", range(2)) > 0.1


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile"])
@pytest.mark.parametrize("profile", ["masked", "robust"])
def test_with_protection_nobody_is_read_out(algorithm: str, profile: Profile) -> None:
    assert found(algorithm, profile, range(2)) == 0
