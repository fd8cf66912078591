"""Liars harm a mean; the robust profile bounds what they do."""

import numpy as np
import pytest
import torch

from server.robust import Noise
from simulation.attack.lies import LIES, Scene
from simulation.attack.poisoning import federation, loss_in_points


def scene(noise: Noise | None = None) -> Scene:
    rng = np.random.default_rng(0)
    honest = torch.from_numpy(0.1 + 0.01 * rng.standard_normal((16, 500))).float()
    return Scene(honest[:4].clone(), honest, torch.full((500,), 0.3), noise, rng)


@pytest.mark.parametrize("name", LIES)
def test_every_lie_is_one_update_a_liar(name: str) -> None:
    assert LIES[name](scene()).shape == (4, 500)


def test_lies_are_what_their_papers_say() -> None:
    there = scene()
    mean, std = there.honest.mean(0), there.honest.std(0)
    torch.testing.assert_close(LIES["inner-product"](there)[0], -5 * mean)
    # 20 sites, 4 liars: 7 honest ones must be won over, so z is the .5625 quantile, .157.
    torch.testing.assert_close(LIES["alie"](there)[0], mean - 0.1573 * std, atol=1e-6, rtol=1e-4)
    assert torch.equal(LIES["replay"](there)[2], there.last)
    assert not LIES["zero"](there).any()


def test_a_fifth_of_the_sites_lies_and_nobody_is_tested_who_trains() -> None:
    there = federation(0)
    assert (len(there.tasks), there.liars) == (20, 4)
    assert not {task.held.site for task in there.test} & set(there.tasks)


@pytest.mark.parametrize("attack", ["scaling", "inner-product"])
def test_the_robust_profile_withstands_what_breaks_the_masked_one(attack: str) -> None:
    assert loss_in_points(0, "masked", attack) > 6
    assert loss_in_points(0, "robust", attack) < 3


def test_liars_who_know_the_checks_do_little_harm() -> None:
    assert abs(loss_in_points(0, "robust", "tailored")) < 3


def test_the_mean_without_privacy_is_turned_round_by_a_fifth() -> None:
    assert loss_in_points(0, "none", "inner-product") > 10
