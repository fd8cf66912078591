from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from simulation.compare.division import Division, Fold, divide
from simulation.datasets import synthetic
from simulation.scenarios import SCENARIOS, HeldOut, Scenario, split
from simulation.source import Plan, make_plan

Wards = Callable[..., dict[str, Any]]


@pytest.fixture(params=SCENARIOS)
def plan(request: pytest.FixtureRequest, wards: Wards) -> Plan:
    return make_plan(wards(scenario=request.param))


def world(scenario: Scenario, *, sites: int) -> Plan:
    settings = synthetic.SyntheticSettings(sites=sites, patients=40, tasks=5)
    dataset = synthetic.generate(settings, 0)
    return Plan(dataset, scenario, split(dataset, scenario, held_out=[], seed=0))


def trained(fold: Fold | Division) -> set[tuple[str, int]]:
    return {
        (site, int(row)) for site, tasks in fold.train.items() for t in tasks for row in t.patient
    }


def judged(held: Sequence[HeldOut]) -> set[tuple[str, int]]:
    return {(h.site, int(row)) for h in held for row in h.task.patient}


def test_no_patient_trains_and_judges(plan: Plan) -> None:
    division = divide(plan, (), 0)
    assert division.folds
    for fold in division.folds:
        assert trained(fold)
        assert not trained(fold) & judged(fold.held)
    assert not trained(division) & judged(division.test)


def test_no_test_patient_validates(plan: Plan) -> None:
    division = divide(plan, (), 0)
    for fold in division.folds:
        assert not (judged(fold.held) | trained(fold)) & judged(division.test)


def test_with_few_sites_each_is_set_apart_in_turn_and_all_train_in_the_end(wards: Wards) -> None:
    plan = make_plan(wards())  # Fir is the test
    division = divide(plan, (), 0)
    assert [sorted({h.site for h in fold.held}) for fold in division.folds] == [
        *(["Ash"], ["Birch"], ["Cedar"], ["Elm"])
    ]
    assert len(trained(division)) == 4 * 60


def test_a_site_with_most_patients_is_set_apart_by_parts(wards: Wards) -> None:
    plan = make_plan(wards())
    patients = dict(plan.dataset.patients)
    for small in ("Birch", "Cedar", "Elm"):
        patients[small] = patients[small].take(np.arange(12))
    dataset = synthetic.generate(synthetic.SyntheticSettings(sites=2, patients=10, tasks=2), 0)
    dataset = type(dataset)(**{**plan.dataset.__dict__, "patients": patients})
    plan = Plan(dataset, "few-shot", split(dataset, "few-shot", held_out=[], seed=0))
    ash = [fold for fold in divide(plan, (), 0).folds if fold.held[0].site == "Ash"]
    assert len(ash) == 3
    parts = [judged(fold.held) for fold in ash]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 60
    assert all("Ash" in fold.train for fold in ash)


def test_many_sites_give_whole_ones_to_validation_and_need_no_second_training() -> None:
    plan = world("few-shot", sites=16)
    division = divide(plan, (), 0)
    (fold,) = division.folds
    assert fold.train is division.train
    assert {h.site for h in fold.held}.isdisjoint(fold.train)


def test_each_diagnosis_is_new_to_the_fold_that_judges_it() -> None:
    division = divide(world("cross-domain", sites=4), (), 0)
    names = set()
    for fold in division.folds:
        own = {h.task.name for h in fold.held}
        assert own.isdisjoint(t.name for tasks in fold.train.values() for t in tasks)
        names |= own
    assert names == {t.name for tasks in division.train.values() for t in tasks}
    assert names.isdisjoint(h.task.name for h in division.test)


def test_a_division_is_the_same_every_time(plan: Plan) -> None:
    first, second = divide(plan, (), 0), divide(plan, (), 0)
    for a, b in zip(first.folds, second.folds, strict=True):
        assert trained(a) == trained(b)
        assert judged(a.held) == judged(b.held)
