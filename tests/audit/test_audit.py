"""The privacy claim, measured: what a hospital releases tells no more than the accountant says."""

from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audit.audits import (
    audit_canary,
    audit_coins,
    audit_coupling,
    audit_std,
    learner_of,
    releases,
    site_of,
)

ALGORITHMS = sorted(set(entry_points(group="wardround.algorithms").names) - {"per-fedavg"})


@pytest.mark.parametrize("noise", [1.5, 2.16])
@pytest.mark.parametrize("replaced", [False, True], ids=["zero-out", "replace-one"])
def test_two_samples_bound_epsilon_just_below_the_claim(noise: float, replaced: bool) -> None:
    audit_canary(noise=noise, replaced=replaced)


def test_the_noise_has_the_promised_standard_deviation() -> None:
    audit_std()


def test_partition_and_coins_are_those_that_the_accountant_assumes() -> None:
    audit_coins()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("replaced", [False, True], ids=["zero-out", "replace-one"])
@settings(max_examples=15, deadline=None)
@given(
    key=st.integers(0, 10_000),
    victim=st.integers(0, 22),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e30, np.inf, np.nan]),
)
def test_one_patient_moves_a_release_by_no_more_than_the_bound(
    algorithm: str, replaced: bool, key: int, victim: int, scale: float
) -> None:
    learner = learner_of(noise=1.0, coin=0.5, algorithm=algorithm)
    rng = np.random.default_rng(key)
    x, y = rng.standard_normal((23, 5)).astype(np.float32), rng.integers(0, 2, 23)
    other_x, other_y = x.copy(), y.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        other_x[victim] = np.float32(scale) * rng.standard_normal(5).astype(np.float32)
    other_y[victim] = 1 - y[victim]
    after = site_of(other_x, other_y) if replaced else site_of(x, y, absent=[victim])
    audit_coupling(learner, site_of(x, y), after, replaced=replaced, key=key)


def test_a_group_without_labels_and_a_round_without_groups_still_release_noise() -> None:
    learner = learner_of(noise=1.0, coin=1e-9)
    site = site_of(np.zeros((23, 5), np.float32), np.zeros(23, np.int64))
    noise = releases(learner, site, 3, "empty")
    assert np.isfinite(noise).all()
    assert len(np.unique(noise)) == noise.size
