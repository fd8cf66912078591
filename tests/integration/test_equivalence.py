"""A federation computes what one machine with all the data would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from common.drawing import draw_episodes
from common.learner import make_learner
from common.parameters import flatten, unflatten
from common.randomness import stream
from simulation.source import SimulatedSource, make_plan, tailored
from simulation.training import EngineSettings, train

ROUNDS = 50


@pytest.mark.parametrize("algorithm", ["maml", "meta-sgd", "reptile", "fedavg"])
@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 0.5, 4)])
def test_fifty_federated_rounds_equal_the_centralised_meta_batch(
    algorithm: str,
    weights: tuple[float, ...],
    wards: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    settings = wards(server={"rounds": ROUNDS, "optimizer": "adam"}, algorithm={"name": algorithm})
    plan = make_plan(settings)
    names = list(plan.split.train)
    roster = tuple({"name": n, "weight": w} for n, w in zip(names, weights, strict=True))
    study = tailored(plan, settings)
    study = type(study).model_validate(study.model_dump(by_alias=True) | {"sites": roster})
    federated = train(study, settings, tmp_path, engine=EngineSettings(name="grid"))

    # The reference: one torch.optim.Adam on the weighted mean over all sites, no Flower, no wire.
    learner = make_learner(study, seed=0)
    meta = torch.nn.Parameter(flatten(learner.initial))
    optimizer = torch.optim.Adam([meta], lr=study.server.meta_lr)
    sites = [SimulatedSource().site(settings, i) for i in range(len(names))]
    for index in range(1, ROUNDS + 1):
        total = torch.zeros_like(meta, dtype=torch.float64)
        for site, weight in zip(sites, weights, strict=True):
            draws = stream(site.key, "episodes", counter=index)
            episodes = draw_episodes(site.tasks, learner.plan, draws)
            update = learner.update(meta.detach(), episodes, round_index=index)
            total += weight / sum(weights) * update.double()
        meta.grad = total.float()
        optimizer.step()

    reference = unflatten(meta.detach(), learner.initial)
    for name, value in reference.items():
        torch.testing.assert_close(federated[name], value, atol=1e-6, rtol=0)
    assert load_file(tmp_path / "initialization.safetensors").keys() == reference.keys()
