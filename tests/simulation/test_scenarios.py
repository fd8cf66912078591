from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.errors import SettingsError
from simulation.datasets import load_dataset
from simulation.datasets.base import Dataset
from simulation.scenarios import SCENARIOS, Scenario, split
from simulation.source import make_plan

Wards = Callable[..., dict[str, Any]]


@pytest.fixture
def dataset(wards: Wards) -> Dataset:
    return make_plan(wards()).dataset


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_patient_of_training_is_ever_judged(
    scenario: Scenario, seed: int, dataset: Dataset
) -> None:
    parts = split(dataset, scenario, held_out=(), seed=seed)
    # A ward's patients differ in their marker, so a row of inputs tells who it is. Compare the
    # columns that no task forbids: age and marker.
    sides = [
        {
            (s, t.x[i, :4].tobytes())
            for s, tasks in parts.train.items()
            for t in tasks
            for i in range(len(t.y))
        },
        *(
            {(h.site, h.task.x[i, :4].tobytes()) for h in side for i in range(len(h.task.y))}
            for side in (parts.validation, parts.test)
        ),
    ]
    train, validation, test = sides
    assert train
    assert test
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_few_shot_holds_out_whole_hospitals(dataset: Dataset) -> None:
    parts = split(dataset, "few-shot", held_out=("Cedar",), seed=0)
    assert sorted(parts.train) == ["Ash", "Birch", "Elm", "Fir"]
    assert {h.site for h in parts.test} == {"Cedar"}
    assert {h.task.name for h in parts.test} == {"gout", "anaemia"}
    assert {h.site for h in parts.validation} == set(parts.train)


def test_cross_domain_never_trains_on_the_held_out_diagnosis(dataset: Dataset) -> None:
    parts = split(dataset, "cross-domain", held_out=("gout",), seed=0)
    assert {t.name for tasks in parts.train.values() for t in tasks} == {"anaemia"}
    assert {h.task.name for h in parts.test} == {"gout"}


def test_personalised_holds_out_a_patient_group_of_each_site(dataset: Dataset) -> None:
    parts = split(dataset, "personalised", held_out=(), seed=0)
    groups = {h.site: h.group for h in parts.test}
    assert set(groups) == set(parts.train)
    assert len(set(groups.values())) > 1, "sites take turns"
    assert all(h.group for h in parts.test)


def test_many_sites_give_whole_sites_to_validation() -> None:
    parts = split(
        load_dataset("synthetic", data=None, seed=0, sites=16), "few-shot", held_out=(), seed=0
    )
    assert not {h.site for h in parts.validation} & set(parts.train)
    assert not {h.site for h in parts.test} & {h.site for h in parts.validation}
    assert all(h.truth is not None for h in parts.test)


@pytest.mark.parametrize(
    ("scenario", "name", "said"),
    [
        ("few-shot", "Oak", "there is no site 'Oak'"),
        ("cross-domain", "flu", "there is no task 'flu'"),
        ("personalised", "elves", "there is no patient group 'elves'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    scenario: Scenario, name: str, said: str, dataset: Dataset
) -> None:
    with pytest.raises(SettingsError, match=said):
        split(dataset, scenario, held_out=(name,), seed=0)


def test_holding_out_everything_is_refused(dataset: Dataset) -> None:
    with pytest.raises(SettingsError, match="no training task is left"):
        split(dataset, "few-shot", held_out=tuple(dataset.patients), seed=0)


def test_a_site_too_small_for_any_task_is_named_and_not_dropped_in_silence(
    dataset: Dataset,
) -> None:
    small = dataset.patients["Elm"].take(np.arange(3))
    changed = replace(dataset, patients={**dataset.patients, "Elm": small})
    parts = split(changed, "few-shot", held_out=("Cedar",), seed=0)
    assert parts.idle == ["Elm"]
    assert "Elm" not in parts.train


def test_one_diagnosis_cannot_be_held_out(dataset: Dataset) -> None:
    study = dataset.study.model_copy(update={"tasks": dataset.study.tasks[:1]})
    with pytest.raises(SettingsError, match="has one diagnosis"):
        split(replace(dataset, study=study), "cross-domain", held_out=(), seed=0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_tasks_of_a_site_take_the_memory_of_one(scenario: Scenario) -> None:
    # Each of them would else copy the inputs: six gigabytes at 10,000 sites with 12 diagnoses.
    data = load_dataset("synthetic", data=None, seed=0, sites=16)
    parts = split(data, scenario, held_out=(), seed=0)
    for tasks in parts.train.values():
        assert len({id(task.x) for task in tasks}) == len({id(task.patient) for task in tasks}) == 1
    for site in data.patients:
        assert len({id(h.task.x) for h in parts.test if h.site == site}) <= 1
        assert len({id(h.task.x) for h in parts.validation if h.site == site}) <= 1


def test_whole_sites_are_not_copied() -> None:
    data = load_dataset("synthetic", data=None, seed=0, sites=16)
    assert data.probabilities is not None
    parts = split(data, "few-shot", held_out=(), seed=0)
    assert all(t.x is data.patients[s].x for s, tasks in parts.train.items() for t in tasks)
    for held in parts.test + parts.validation:
        patients = data.patients[held.site]
        assert held.task.x is patients.x
        assert np.shares_memory(held.task.y, patients.labels)
        assert held.truth is not None
        assert np.shares_memory(held.truth, data.probabilities[held.site])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rows_labels_and_truth_of_a_held_out_task_are_those_of_its_patients(
    scenario: Scenario,
) -> None:
    data = load_dataset("synthetic", data=None, seed=0, sites=9)
    columns = {rule.name: i for i, rule in enumerate(data.study.tasks)}
    assert data.probabilities is not None
    for held in split(data, scenario, held_out=(), seed=0).test:
        patients, at = data.patients[held.site], held.task.patient
        column = columns[held.task.name]
        assert np.array_equal(held.task.x, patients.x[at])
        assert np.array_equal(held.task.y, patients.labels[at, column])
        assert held.truth is not None
        assert np.array_equal(held.truth, data.probabilities[held.site][at, column])
        assert set(patients.group[at]) <= {held.group} or not held.group
