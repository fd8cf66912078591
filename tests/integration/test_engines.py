"""Parity: whatever engine asks the sites, the initialization is the same."""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.algorithms.maml import MAML
from common.errors import SettingsError
from common.learner import make_learner
from common.parameters import Params
from common.study import Study
from server.state import read_records
from simulation.fleet import NO_EPISODE, NOT_FINITE, TOO_LARGE, Fleet, Job
from simulation.source import make_plan, tailored, virtual_sites
from simulation.training import EngineSettings, train

Settings = dict[str, Any]
Wards = Callable[..., Settings]
ALGORITHMS = sorted(entry_points(group="wardround.algorithms").names)
CLIPPED = {"clip_norm": 0.05}
PRIVACY = {"clip_norm": 0.05, "noise_multiplier": 1.0, "coin": 0.5}


def study_of(settings: Settings) -> Study:
    return tailored(make_plan(settings), settings)


def trained(settings: Settings, folder: Path, engine: EngineSettings) -> Params:
    return train(study_of(settings), settings, folder, engine=engine)


def assert_same(a: Params, b: Params, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(dict(a), dict(b), rtol=0, atol=tolerance)


@pytest.mark.parametrize("privacy", [{}, CLIPPED, PRIVACY], ids=["plain", "clipped", "private"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_vectorized_and_grid_agree_after_five_rounds(
    algorithm: str, privacy: Settings, wards: Wards, tmp_path: Path
) -> None:
    settings = wards(algorithm={"name": algorithm}, server={"rounds": 5}, privacy=privacy)
    if algorithm == "per-fedavg" and privacy is PRIVACY:
        with pytest.raises(SettingsError, match="no update that one group"):
            trained(settings, tmp_path, EngineSettings(name="grid"))
        return
    grid = trained(settings, tmp_path / "grid", EngineSettings(name="grid"))
    vectorized = trained(settings, tmp_path / "vectorized", EngineSettings(workers=1))
    assert_same(grid, vectorized)


def test_masked_sums_are_those_of_the_vectorized_engine_to_the_last_bit(
    wards: Wards, tmp_path: Path
) -> None:
    settings = wards(privacy=PRIVACY | {"profile": "masked"})
    grid = trained(settings, tmp_path / "grid", EngineSettings(name="grid"))
    vectorized = trained(settings, tmp_path / "vectorized", EngineSettings(workers=1))
    assert all(torch.equal(grid[name], vectorized[name]) for name in grid)


@pytest.mark.parametrize("aggregation", ["median", "trimmed-mean", "centred-clipping"])
def test_robust_aggregation_is_the_same_on_both_engines(
    aggregation: str, wards: Wards, tmp_path: Path
) -> None:
    robust = PRIVACY | {"profile": "robust", "aggregation": aggregation}
    settings = wards(privacy=robust)
    grid = trained(settings, tmp_path / "grid", EngineSettings(name="grid"))
    vectorized = trained(settings, tmp_path / "vectorized", EngineSettings(workers=1))
    assert_same(grid, vectorized)
    mean = trained(wards(privacy=PRIVACY), tmp_path / "mean", EngineSettings(workers=1))
    assert any(not torch.equal(mean[name], grid[name]) for name in mean)


def test_noise_and_clipping_change_what_is_learned(wards: Wards, tmp_path: Path) -> None:
    engine = EngineSettings(workers=1)
    plain = trained(wards(), tmp_path / "plain", engine)
    for name, privacy in {"clipped": CLIPPED, "noised": PRIVACY}.items():
        other = trained(wards(privacy=privacy), tmp_path / name, engine)
        assert any(not torch.equal(plain[key], other[key]) for key in plain)
        plain = other


def test_the_number_of_workers_changes_not_one_bit(wards: Wards, tmp_path: Path) -> None:
    settings = wards()
    one, two = (trained(settings, tmp_path / str(n), EngineSettings(workers=n)) for n in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_sites_with_fewer_episodes_are_computed_apart(wards: Wards, tmp_path: Path) -> None:
    # 60 patients a ward; 5 episodes of 10 + 15 are wanted: some wards, split 80 to 20, give fewer.
    settings = wards(episodes={"support": 10, "query": 7, "meta_batch": 3}, scenario="personalised")
    assert_same(
        trained(settings, tmp_path / "grid", EngineSettings(name="grid")),
        trained(settings, tmp_path / "vectorized", EngineSettings(workers=1)),
    )


def fleet_of(settings: Settings, max_norm: float = 1e4) -> Fleet:
    sites = virtual_sites(settings)
    learner = make_learner(study_of(settings), seed=0)
    return Fleet(learner, sites, np.ones(len(sites)), max_norm)


def part(fleet: Fleet, meta: torch.Tensor) -> dict[int, str]:
    return fleet.part(Job(meta.numpy(), 1, np.arange(len(fleet.sites)))).dropped


def test_what_a_server_would_not_take_is_dropped_with_the_same_reason(wards: Wards) -> None:
    settings = wards()
    fleet = fleet_of(settings)
    theta = torch.cat([p.reshape(-1) for p in fleet.learner.initial.values()])
    everyone = range(len(fleet.sites))
    assert part(fleet, theta) == {}
    assert part(fleet, theta * float("inf")) == dict.fromkeys(everyone, NOT_FINITE)
    assert part(fleet_of(settings, 1e-9), theta) == dict.fromkeys(everyone, TOO_LARGE)


def test_a_site_from_which_nothing_can_be_drawn_is_dropped_alone(wards: Wards) -> None:
    fleet = fleet_of(wards())
    empty = fleet.tables[1]._replace(bounds=np.zeros_like(fleet.tables[1].bounds))
    fleet.tables[1] = empty
    theta = torch.cat([p.reshape(-1) for p in fleet.learner.initial.values()])
    assert part(fleet, theta) == {1: NO_EPISODE}


def test_the_records_are_those_of_the_grid(wards: Wards, tmp_path: Path) -> None:
    settings = wards(server={"max_update_norm": 0.35, "quorum": 0.25})
    study = study_of(settings)
    found = []
    for engine in (EngineSettings(name="grid"), EngineSettings(workers=2)):
        folder = tmp_path / engine.name
        train(study, settings, folder, engine=engine)
        records = read_records(folder, study, make_learner(study, seed=0))
        found.append([(r.round_index, r.closed, r.accepted, r.dropped) for r in records])
    assert found[0] == found[1]
    assert any(dropped for *_, dropped in found[0]), "the bound must bite for this test to count"


def test_the_closed_form_is_chosen_where_there_is_one(wards: Wards) -> None:
    settings = wards()
    study = study_of(settings)
    assert make_learner(study, seed=0).compute is MAML.reference
    assert make_learner(study, seed=0, arithmetic="generic").compute is not MAML.reference
