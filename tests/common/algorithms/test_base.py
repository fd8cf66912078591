"""What an algorithm is, and how one is installed."""

import dataclasses
import importlib
import re
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from common.algorithms.base import (
    RATE,
    Algorithm,
    InnerSettings,
    constant,
    find_algorithm,
    gradient_of,
    rows_of,
    theta_of,
    update,
)
from common.algorithms.maml import MAML
from common.episodes import Episode, Rows
from common.errors import SettingsError
from common.models import Loss
from common.parameters import Params, flatten

Build = Callable[..., Any]


def test_an_algorithm_with_its_own_sum_is_given_all_episodes(make_problem: Build) -> None:
    p = make_problem()

    def number_of_episodes(
        loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings
    ) -> Params:
        return {"episodes": torch.tensor(episodes.support.weight.shape[0])}

    counting = Algorithm(name="count", summary="", source="", site_update=number_of_episodes)
    assert update(counting, p.loss, p.theta, p.episodes, InnerSettings())["episodes"].item() == 2


@pytest.mark.parametrize("both", [True, False])
def test_an_algorithm_gives_exactly_one_kind_of_update(both: bool) -> None:
    one = MAML.episode_update if both else None
    with pytest.raises(SettingsError, match="one of episode_update and site_update"):
        Algorithm(name="mine", summary="", source="", episode_update=one, site_update=one)


def test_an_algorithm_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MAML.name = "other"  # type: ignore[misc]


def test_theta_is_meta_without_the_learned_rates() -> None:
    meta = {"w": torch.ones(1), RATE + "w": torch.ones(1)}
    assert list(theta_of(meta)) == ["w"]
    assert list(constant(meta, InnerSettings(inner_lr=0.5))) == ["w"]


def test_gradient_of_differentiates_with_respect_to_meta(make_problem: Build) -> None:
    # d/dw of ||w||^2 is 2w, whatever the episode.
    def norm(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Tensor:
        return meta["w"].square().sum()

    p, meta = make_problem(), {"w": torch.tensor([1.0, -3.0])}
    assert gradient_of(norm)(p.loss, meta, p.episodes, InnerSettings())["w"].tolist() == [2, -6]


@pytest.mark.parametrize("stacked", [True, False])
def test_rows_of_joins_support_and_query(make_problem: Build, stacked: bool) -> None:
    episodes = make_problem(support=6, query=8).episodes
    if not stacked:
        episodes = Episode(*(Rows(*(part[0] for part in side)) for side in episodes))
    rows, lead = rows_of(episodes), ((2,) if stacked else ())
    assert rows.x.shape == (*lead, 14, 3)
    assert rows.y.shape == rows.weight.shape == (*lead, 14)
    for joined, first, second in zip(rows, *episodes, strict=True):
        at = len(lead)
        assert torch.equal(joined.narrow(at, 0, 6), first)
        assert torch.equal(joined.narrow(at, 6, 8), second)


def test_an_unknown_algorithm_is_refused_with_those_that_there_are() -> None:
    known = sorted(entry_points(group="wardround.algorithms").names)
    assert "maml" in known
    with pytest.raises(SettingsError, match=re.escape(", ".join(known))) as refusal:
        find_algorithm("mamml")
    assert "'mamml' is not installed" in str(refusal.value)


FOREIGN_MODULE = '''
"""A neighbour's algorithm: sign descent on the query loss, no adaptation."""
from torch.func import grad
from common.algorithms.base import Algorithm

def signs(loss, meta, episode, settings):
    return {name: g.sign() for name, g in grad(loss)(meta, *episode.query).items()}

SIGNS = Algorithm(name="signs", summary="query signs", source="nowhere", episode_update=signs)
NOTHING = "not an algorithm"
'''
FOREIGN_ENTRY_POINTS = """
[wardround.algorithms]
signs = neighbour_signs:SIGNS
nothing = neighbour_signs:NOTHING
"""


@pytest.fixture
def neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package of two entry points, as `pip install` would lay it out."""
    (tmp_path / "neighbour_signs.py").write_text(FOREIGN_MODULE)
    metadata = tmp_path / "neighbour_signs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: neighbour-signs\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(FOREIGN_ENTRY_POINTS)
    monkeypatch.setitem(sys.modules, "neighbour_signs", None)  # so that it is forgotten afterwards
    monkeypatch.delitem(sys.modules, "neighbour_signs")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


@pytest.mark.usefixtures("neighbour")
def test_another_packages_algorithm_is_found_and_run_without_a_change_to_ours(
    make_problem: Build,
) -> None:
    p, signs = make_problem(episodes=1), find_algorithm("signs")
    learned = update(signs, p.loss, p.theta, p.episodes, InnerSettings())
    assert set(flatten(learned).abs().tolist()) == {1.0}
    assert find_algorithm("maml") is MAML


@pytest.mark.usefixtures("neighbour")
def test_an_entry_point_to_something_else_is_refused() -> None:
    with pytest.raises(SettingsError, match="neighbour_signs:NOTHING is no Algorithm"):
        find_algorithm("nothing")
