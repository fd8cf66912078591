"""Metrics of virtual hospitals: the same on every engine, and under masks the very same sum."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.site import Opened, open_site
from client.votes import release_votes
from common.errors import TableError
from common.learner import make_learner
from common.messages.votes import VotesRequest
from common.parameters import flatten
from common.privacy.histograms import BINS, CELLS, Integers
from common.study import Study
from server.metrics import METRICS_FILE
from server.state import INITIALIZATION_FILE, load_initialization
from simulation.progress import Reporter
from simulation.run import simulate_study
from simulation.source import make_plan, tailored, virtual_sites
from simulation.training import EngineSettings, train
from tests.integration.conftest import NAMES

Settings = dict[str, Any]
Wards = Callable[..., Settings]
NOISE = {"clip_norm": 0.05, "noise_multiplier": 1.0, "coin": 0.5}
ROBUST = NOISE | {"profile": "robust", "aggregation": "median"}
MASKED = NOISE | {"profile": "masked"}
MEASURED = {"metric_releases": 2, "metric_std": 1.0}
TASKS = ("gout", "anaemia")


def study_of(settings: Settings) -> Study:
    return tailored(make_plan(settings), settings)


def measured(settings: Settings, folder: Path, engine: str) -> dict[str, Any]:
    train(study_of(settings), settings, folder, engine=EngineSettings(name=engine, workers=1))  # type: ignore[arg-type]
    return json.loads((folder / METRICS_FILE).read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("privacy", [{}, ROBUST, MASKED], ids=["none", "robust", "masked"])
def test_vectorized_and_grid_get_the_same_metrics(
    privacy: Settings, wards: Wards, tmp_path: Path
) -> None:
    settings = wards(privacy=privacy, evaluation=MEASURED)
    grid, vectorized = (measured(settings, tmp_path / e, e) for e in ("grid", "vectorized"))
    assert grid["tasks"] == vectorized["tasks"]
    assert list(grid["tasks"]) == list(TASKS)
    for name, task in grid["tasks"].items():
        assert task["sites"] == list(NAMES)
        auroc = task["estimates"]["auroc"]
        truth = true_auroc(settings, tmp_path / "grid", name)
        assert abs(auroc["value"] - truth) < 3 * auroc["standard_error"] < 0.2
        assert not task["informative"]  # 240 patients are few


def true_auroc(settings: Settings, folder: Path, task: str) -> float:
    """The share of pairs of all sites' patients in order, as halves if their scores share a bin."""
    learner = make_learner(study_of(settings), seed=0)
    theta = load_initialization(folder / INITIALIZATION_FILE, learner)
    tasks = [t for site in virtual_sites(settings) for t in site.tasks if t.name == task]
    x = torch.from_numpy(np.concatenate([t.x for t in tasks]))
    place = np.floor(BINS * learner.logits(theta, x).softmax(-1)[:, 1].detach().numpy())
    y = np.concatenate([t.y for t in tasks])
    above = place[y == 1][:, None] - place[y == 0]
    return float(((np.sign(above) + 1) / 2).mean())


def plain_sum(settings: Settings, folder: Path, task: str, sites: tuple[str, ...]) -> Integers:
    """The sites' noised histograms, added in the clear."""
    study = study_of(settings)
    learner = make_learner(study, seed=0)
    meta = flatten(load_initialization(folder / INITIALIZATION_FILE, learner))
    total = np.zeros(CELLS, dtype=np.int64)
    for name in sites:
        node = {"partition-id": NAMES.index(name), "num-partitions": 4}
        opened = open_site(node, {**settings, "study": str(folder / "study.toml")})
        request = VotesRequest(opened.study.id, 1 + TASKS.index(task), task, meta)
        total += release_votes(opened, request)
    return total


def test_a_masked_sum_is_the_plain_sum_to_the_last_bit_also_if_a_site_is_lost(
    wards: Wards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_votes

    def losing(opened: Opened, request: VotesRequest, *, fresh: int = 0) -> Integers:
        if (opened.site.name, request.task) == ("Birch", "gout"):
            raise TableError("lost", where="test", remedy="none")
        return release(opened, request, fresh=fresh)

    monkeypatch.setattr("client.votes_app.release_votes", losing)
    settings = wards(privacy=MASKED, evaluation=MEASURED | {"metric_std": 25.5})
    found = measured(settings, tmp_path / "run", "grid")["tasks"]
    assert found["gout"]["sites"] == ["Ash", "Cedar", "Elm"]
    assert found["gout"]["dropped"] == {"Birch": "error-2 TableError"}
    assert found["anaemia"]["dropped"] == {"Birch": "resting"}
    for task in TASKS:
        plain = plain_sum(settings, tmp_path / "run", task, tuple(found[task]["sites"]))
        assert np.array_equal(np.array(found[task]["counts"]).reshape(CELLS), plain)


@pytest.mark.parametrize("lie", [2.0**19, 0.5], ids=["huge", "no whole number"])
def test_a_masked_sum_that_no_patients_can_give_is_no_metric(
    lie: float, wards: Wards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = release_votes

    def lying(opened: Opened, request: VotesRequest, *, fresh: int = 0) -> Any:
        told = release(opened, request, fresh=fresh)
        return told + lie if opened.site.name == "Cedar" else told

    monkeypatch.setattr("client.votes_app.release_votes", lying)
    found = measured(wards(privacy=MASKED, evaluation=MEASURED), tmp_path / "run", "grid")
    assert not found["tasks"]
    assert "implausible-votes" in found["missing"]["gout"]


def test_what_is_learned_does_not_depend_on_whether_it_is_measured(
    wards: Wards, tmp_path: Path
) -> None:
    thetas = []
    for name, evaluation in (("with", MEASURED), ("without", {})):
        settings = wards(privacy=NOISE | {"profile": "masked"}, evaluation=evaluation)
        study = study_of(settings)
        meta = train(study, settings, tmp_path / name, engine=EngineSettings(name="grid"))
        thetas.append(flatten(meta))
        assert (tmp_path / name / METRICS_FILE).exists() == bool(evaluation)
    assert torch.equal(thetas[0], thetas[1])


def test_virtual_hospitals_declare_the_truth(wards: Wards) -> None:
    study = study_of(wards(evaluation=MEASURED))
    for site in study.sites:
        assert set(site.classes) == set(TASKS)
        assert {sum(sizes) for sizes in site.classes.values()} == {site.patients}


def test_what_sites_vote_is_reported_beside_the_truth(wards: Wards, tmp_path: Path) -> None:
    settings = wards(metric_releases=1, metric_std=0.5)
    results = simulate_study(settings, tmp_path / "run", resume=False, reporter=Reporter())
    told = results["federated_metrics"]
    gout = told["tasks"]["gout"]
    assert "anaemia" in told["refused"]
    for metric, tolerance in (("auroc", 0.15), ("brier", 0.05)):
        assert abs(gout["estimates"][metric]["value"] - gout["truth"][metric]) < tolerance
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Federated metrics" in page
    assert f"{gout['truth']['brier']:.3f}" in page
