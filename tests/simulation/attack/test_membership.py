"""Membership inference sees members where nothing protects, and by its trap the most it can."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from common.randomness import generator
from simulation.attack import protection
from simulation.attack.membership import Hospital, infer, make_hospital, ordinary, trapped
from simulation.attack.protection import CLIP_NORM, EXPECTED_GROUPS


@lru_cache
def hospital() -> Hospital:
    return make_hospital(0)


def test_without_protection_members_are_told_from_others_and_with_it_they_are_not() -> None:
    found = infer(hospital(), 25, 0, crafted=False)
    assert found["none"][0].value > 0.65
    assert found["none"][1].value > 0.85
    for profile in ("masked", "robust"):
        assert found[profile][0].low < 0.55
        assert found[profile][1].low < 0.6


def test_it_is_the_noise_that_hides_them_not_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "NOISE_MULTIPLIER", 0.01)
    assert infer(hospital(), 8, 0, crafted=True)["robust"][1].value > 0.8


def test_in_a_trap_a_patient_moves_the_update_most() -> None:
    patient, rng = ordinary(generator("patient")), generator("partners")
    plain = hospital().shift(patient, True, rng).norm()
    moved = trapped(hospital(), patient).shift(patient, True, rng).norm()
    # Half of the time the patient is in the query set, where the neuron fills the clip.
    assert moved > 0.4 * CLIP_NORM / EXPECTED_GROUPS > plain


def test_an_update_is_a_function_of_its_own_group() -> None:
    numbers = np.arange(1, 41).reshape(4, 10)
    together = hospital().updates(numbers)
    torch.testing.assert_close(together[2:3], hospital().updates(numbers[2:3]))
