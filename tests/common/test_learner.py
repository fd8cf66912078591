from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest
import torch
from torch import nn

from common.algorithms.base import find_algorithm
from common.drawing import draw_episodes
from common.episodes import Episode, EpisodePlan, Task
from common.errors import NonFiniteError, SettingsError
from common.learner import inner_settings, make_learner
from common.parameters import flatten
from common.patients import Patients, tasks_of
from common.randomness import generator, stream
from common.study import Study
from common.study_sections import AlgorithmSettings


def test_the_same_seed_gives_the_same_theta_and_torchs_own_generator_is_left_alone(
    ward_study: Study,
) -> None:
    before = torch.random.get_rng_state()
    a, b, c = (flatten(make_learner(ward_study, seed=s).initial) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(before, torch.random.get_rng_state())


def test_meta_sgd_learns_twice_as_many_numbers(ward_study: Study) -> None:
    plain = make_learner(ward_study, seed=0)
    changed = ward_study.model_copy(update={"algorithm": AlgorithmSettings(name="meta-sgd")})
    assert make_learner(changed, seed=0).dim == 2 * plain.dim
    # 6 inputs, 8 hidden, 2 outputs: 6 * 8 + 8 + 8 * 2 + 2
    assert plain.dim == 74


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epoch": 2.0}, "has no option epoch"),
        ({"epochs": 0.0}, "epochs is 0"),
        ({"mu": -1.0}, "mu"),
    ],
)
def test_an_unknown_option_or_one_out_of_range_is_refused(
    options: dict[str, float], said: str
) -> None:
    given = AlgorithmSettings(name="fedprox", options=options)
    with pytest.raises(SettingsError, match=said):
        inner_settings(find_algorithm("fedprox"), given)


def test_options_are_complete_whatever_was_given() -> None:
    given = AlgorithmSettings(name="fedprox", options={"mu": 2.0})
    assert inner_settings(find_algorithm("fedprox"), given).options == {"epochs": 1, "mu": 2.0}


def test_an_update_that_explodes_is_refused(ward_study: Study) -> None:
    learner = make_learner(ward_study, seed=0)
    rng = generator("learner")
    x = rng.standard_normal((40, 6)).astype("float32")
    labels = rng.integers(0, 2, (40, 2))
    tasks = tasks_of(Patients("Ash", x, labels, labels[:, 0].astype(str)), ward_study, ["gout"])
    episodes = draw_episodes(tasks, learner.plan, stream(0))
    assert torch.isfinite(learner.update(flatten(learner.initial), episodes, round_index=1)).all()
    with pytest.raises(NonFiniteError, match="maml, round 1"):
        learner.update(flatten(learner.initial) * float("inf"), episodes, round_index=1)


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4, 2))


def image_episodes() -> Episode:
    rng = generator("images")
    x = rng.standard_normal((40, 1, 4, 4)).astype(np.float32)
    task = Task("lesion", x, rng.integers(0, 2, 40), np.arange(40))
    return draw_episodes([task], EpisodePlan(support=4, query=4, meta_batch=3), stream(0))


@pytest.mark.parametrize("name", sorted(entry_points(group="wardround.algorithms").names))
def test_every_algorithm_learns_a_convolutional_network_on_images(
    name: str, ward_study: Study
) -> None:
    changed = ward_study.model_copy(update={"algorithm": AlgorithmSettings(name=name)})
    learner = make_learner(changed, seed=0, build=convolutional)
    update = learner.update(flatten(learner.initial), image_episodes(), round_index=1)
    assert update.shape == (learner.dim,)
    assert update.any()


def test_a_model_of_ones_own_never_gets_the_closed_form_of_the_reference_network(
    ward_study: Study,
) -> None:
    def build() -> nn.Module:  # the names and shapes of the reference network, another function
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))

    learner = make_learner(ward_study, seed=0, build=build)
    assert learner.own_model
    assert learner.algorithm.reference is None
    with pytest.raises(SettingsError, match="has no closed form"):
        make_learner(ward_study, seed=0, build=build, arithmetic="reference")


def test_an_algorithm_that_is_given_need_not_be_installed(ward_study: Study) -> None:
    mine = replace(find_algorithm("reptile"), name="mine")
    assert make_learner(ward_study, seed=0, algorithm=mine).algorithm is mine
