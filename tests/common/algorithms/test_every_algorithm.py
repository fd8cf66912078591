"""What holds for every algorithm that the package installs."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common.algorithms.base import Algorithm, InnerSettings, episode_updates, find_algorithm, update
from common.episodes import Episode, Rows
from common.models import initialize, squared_error, weighted_loss
from common.parameters import Params, flatten
from tests.common.algorithms.gradients import each_episode

Build = Callable[..., Any]
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
OURS: dict[str, str] = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][
    "wardround.algorithms"
]
EPISODIC = [name for name in OURS if find_algorithm(name).episode_update is not None]


def settings_of(algorithm: Algorithm, *, steps: int = 3) -> InnerSettings:
    """Return settings with the algorithm's own defaults and a schedule that is half done."""
    options = {name: option.default for name, option in algorithm.options.items()}
    return InnerSettings(inner_lr=0.3, inner_steps=steps, options=options, progress=0.5)


def updated(name: str, p: Any, episodes: Episode, *, steps: int = 3) -> Params:
    algorithm = find_algorithm(name)
    settings = settings_of(algorithm, steps=steps)
    meta = algorithm.initial(p.theta, settings)
    return update(algorithm, p.loss, meta, episodes, settings)


@pytest.mark.parametrize("name", OURS)
def test_every_algorithm_of_the_package_is_found_and_carries_its_own_name(name: str) -> None:
    algorithm = find_algorithm(name)
    assert algorithm.name == name
    assert algorithm.summary
    assert algorithm.source


@pytest.mark.parametrize("name", OURS)
def test_an_update_has_the_names_and_shapes_of_meta_and_is_finite(
    make_problem: Build, name: str
) -> None:
    p, algorithm = make_problem(), find_algorithm(name)
    meta = algorithm.initial(p.theta, settings_of(algorithm))
    learned = updated(name, p, p.episodes)
    assert {n: u.shape for n, u in learned.items()} == {n: m.shape for n, m in meta.items()}
    assert bool(torch.isfinite(flatten(learned)).all())
    assert flatten(learned).any()


@pytest.mark.parametrize("name", OURS)
def test_an_update_leaves_theta_as_it_was(make_problem: Build, name: str) -> None:
    p = make_problem()
    before = flatten(p.theta).clone()
    updated(name, p, p.episodes)
    assert torch.equal(flatten(p.theta), before)


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("change", ["reversed", "padded"])
@pytest.mark.parametrize("name", OURS)
def test_neither_the_order_of_patients_nor_padding_changes_the_update(
    make_problem: Build,
    rearranged: Callable[[str, Episode], Episode],
    name: str,
    change: str,
    steps: int,
) -> None:
    p = make_problem()
    one = updated(name, p, p.episodes, steps=steps)
    other = updated(name, p, rearranged(change, p.episodes), steps=steps)
    torch.testing.assert_close(other, one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", EPISODIC)
def test_the_order_of_episodes_does_not_change_the_update(make_problem: Build, name: str) -> None:
    p = make_problem()
    turned = Episode(*(Rows(*(part.flip(0) for part in side)) for side in p.episodes))
    torch.testing.assert_close(
        updated(name, p, turned), updated(name, p, p.episodes), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("name", EPISODIC)
def test_the_update_is_the_mean_of_each_episodes_own(make_problem: Build, name: str) -> None:
    p, algorithm = make_problem(), find_algorithm(name)
    settings = settings_of(algorithm)
    meta = algorithm.initial(p.theta, settings)
    stacked = episode_updates(algorithm, p.loss, meta, p.episodes, settings)
    one = algorithm.episode_update
    assert one is not None
    alone = [one(p.loss, meta, episode, settings) for episode in each_episode(p.episodes)]
    for n, u in updated(name, p, p.episodes).items():
        torch.testing.assert_close(stacked[n], torch.stack([a[n] for a in alone]))
        torch.testing.assert_close(u, sum(a[n] for a in alone) / len(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OURS)
def test_images_with_vector_targets_are_learned_from_by_every_algorithm(name: str) -> None:
    model, theta = initialize(
        lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)), 0
    )
    draw = torch.Generator().manual_seed(0)

    def rows(size: int) -> Rows:
        x = torch.randn(2, size, 1, 3, 3, generator=draw)
        return Rows(x, torch.randn(2, size, 2, generator=draw), torch.ones(2, size))

    algorithm, loss = find_algorithm(name), weighted_loss(model, squared_error)
    settings = settings_of(algorithm, steps=1)
    meta = algorithm.initial(theta, settings)
    learned = update(algorithm, loss, meta, Episode(rows(4), rows(6)), settings)
    assert bool(torch.isfinite(flatten(learned)).all())
