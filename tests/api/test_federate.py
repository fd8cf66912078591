import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import wardround as wr
from common.learner import make_learner
from common.parameters import flatten
from common.study import Study
from simulation.training import train_in_memory

SECTIONS = {"episodes": {"support": 4, "query": 4, "meta_batch": 2}, "model": {"hidden": 8}}


def test_a_run_is_that_of_the_engine_and_keeps_what_happened(small: wr.Hospitals) -> None:
    run = wr.federate("maml", small, rounds=3, inner_steps=2, sections=SECTIONS, workers=1)
    study: Study = run.study
    assert (study.server.rounds, study.algorithm.inner_steps, study.model.hidden) == (3, 2, 8)
    assert [site.name for site in study.sites] == list(small.split.train)
    _, meta = train_in_memory(study, small.split.train, small.seed)
    assert torch.equal(flatten(run.meta), flatten(meta))
    assert list(run.history) == [1, 2, 3]
    assert torch.equal(flatten(run.history[3]), flatten(run.meta))
    assert not torch.equal(flatten(run.history[2]), flatten(run.meta))
    assert [record.round_index for record in run.records] == [1, 2, 3]
    assert run.records[0].accepted == tuple(small.split.train)
    assert repr(run) == "<maml: 7 hospitals, 3 rounds>"


def test_the_real_apps_learn_the_same(small: wr.Hospitals) -> None:
    here, there = (
        wr.federate("reptile", small, rounds=2, sections=SECTIONS, engine=engine, workers=1)
        for engine in ("vectorized", "grid")
    )
    torch.testing.assert_close(flatten(here.meta), flatten(there.meta), rtol=0, atol=1e-5)
    assert list(here.history) == list(there.history) == [1, 2]
    assert [r.accepted for r in here.records] == [r.accepted for r in there.records]


def test_the_apps_refuse_what_they_could_not_find_by_name(small: wr.Hospitals) -> None:
    own = replace(wr.find_algorithm("maml"), meta_lr=0.1)
    arrays = wr.hospitals_of(list(small.dataset.patients.values()), names(small))
    for algorithm, hospitals, model, said in (
        (own, small, None, "an installed algorithm"),
        ("maml", arrays, None, "hospitals that have a name"),
        ("maml", small, lambda: wr.perceptron(64), "the reference network"),
    ):
        with pytest.raises(wr.WardroundError, match=said):
            wr.federate(algorithm, hospitals, model=model, engine="grid")


def names(hospitals: wr.Hospitals) -> list[str]:
    return [task.name for task in hospitals.dataset.study.tasks]


def test_an_algorithms_own_optimizer_options_and_rate_are_taken(small: wr.Hospitals) -> None:
    own = replace(wr.find_algorithm("fedprox"), name="maml", meta_lr=0.5)
    run = wr.federate(own, small, rounds=1, options={"mu": 2.0}, sections=SECTIONS, workers=1)
    server, settings = run.study.server, run.learner.settings
    assert (server.optimizer, server.meta_lr, settings.options["mu"]) == ("sgd", 0.5, 2.0)
    with pytest.raises(wr.WardroundError, match="mu is -1"):
        wr.federate(own, small, options={"mu": -1.0})
    with pytest.raises(wr.WardroundError, match=re.escape("server.rounds")):
        wr.federate(own, small, rounds=0)


def test_a_model_that_does_not_fit_the_rows_is_refused(small: wr.Hospitals) -> None:
    for model in (lambda: wr.perceptron(64, outputs=3), lambda: nn.Linear(5, 2)):
        with pytest.raises(wr.WardroundError, match=r"the model makes .* of rows \[2, 64\]"):
            wr.federate("maml", small, model=model)


def test_noise_is_part_of_a_run_too(small: wr.Hospitals) -> None:
    private = {"clip_norm": 0.1, "noise_multiplier": 1.0}
    run = wr.federate(
        "fomaml", small, rounds=1, sections=SECTIONS | {"privacy": private}, workers=1
    )
    assert run.learner.mechanism is not None
    assert all(site.patients == 200 for site in run.study.sites)


def test_rows_of_any_shape_reach_the_model_as_they_are() -> None:
    rng = wr.generator("shapes")
    patients = [
        wr.Patients(
            f"ward {i}",
            rng.standard_normal((60, 1, 4, 4)).astype(np.float32),
            rng.integers(0, 2, (60, 1)),
            np.full(60, ""),
        )
        for i in range(4)
    ]
    hospitals = wr.hospitals_of(patients, ["lesion"])
    assert repr(hospitals) == "<own, few-shot: 3 hospitals train, 3 tasks validate, 1 test>"

    def model() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))

    run = wr.federate("fomaml", hospitals, rounds=1, sections=SECTIONS, model=model, workers=1)
    first = make_learner(run.study, seed=0, build=model).initial
    assert not torch.equal(flatten(run.theta), flatten(first))
    judged = wr.evaluate([run], hospitals, k=(0, 5), draws=2, workers=1)
    assert judged.mean("fomaml", 5)[0] > 0
    with pytest.raises(wr.WardroundError, match="the model makes"):
        wr.federate("fomaml", hospitals)


def test_arrays_that_do_not_fit_are_refused() -> None:
    good = wr.Patients("a", np.zeros((4, 3), np.float32), np.zeros((4, 1), int), np.full(4, ""))
    for bad, said in (
        (replace(good, x=good.x.astype(float)), "give float32 .4, 3."),
        (replace(good, labels=good.labels[:, 0]), "give int64 .4, 1."),
    ):
        with pytest.raises(wr.WardroundError, match=said):
            wr.hospitals_of([good, bad], ["gout"])
