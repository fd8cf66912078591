from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from common.errors import SettingsError
from common.features import input_names
from common.randomness import generator
from simulation.datasets import load_dataset, synthetic, synthetic_world
from simulation.datasets.base import Dataset
from simulation.datasets.synthetic import SyntheticSettings, generate

SMALL = {"sites": 5, "patients": 30, "tasks": 4}


SAME = {"covshift": 0, "labelshift": 0, "concept": 0}  # hospitals do not differ


def make(seed: int = 0, /, **settings: Any) -> Dataset:
    return generate(SyntheticSettings(**(SMALL | settings)), seed)


def truth(dataset: Dataset, site: str) -> NDArray[np.float64]:
    assert dataset.probabilities is not None
    return dataset.probabilities[site]


def bayes(dataset: Dataset) -> list[float]:
    """AUROC of the true probabilities, for each site and task with 8 patients of each class."""
    return [
        float(roc_auc_score(y, p))
        for site, patients in dataset.patients.items()
        for y, p in zip(patients.labels.T, truth(dataset, site).T, strict=True)
        if min(y.sum(), len(y) - y.sum()) >= 8
    ]


@pytest.mark.parametrize(
    "more",
    [{"sites": 9}, {"patients": 77}, {"tasks": 7}, {"sites": 6, "patients": 31, "tasks": 5}],
)
def test_more_sites_patients_or_tasks_change_no_earlier_one(more: dict[str, int]) -> None:
    fewer, larger = make(tau=0.5), make(tau=0.5, **more)
    tasks = len(fewer.study.tasks)
    for site, patients in fewer.patients.items():
        n = len(patients)
        assert np.array_equal(larger.patients[site].x[:n], patients.x)
        assert np.array_equal(larger.patients[site].labels[:n, :tasks], patients.labels)
        assert np.array_equal(larger.patients[site].group[:n], patients.group)
        assert np.array_equal(truth(larger, site)[:n, :tasks], truth(fewer, site))


def test_a_seed_gives_one_world_and_another_seed_another() -> None:
    first, again, other = make(3), make(3), make(4)
    assert all(np.array_equal(first.patients[s].x, again.patients[s].x) for s in first.patients)
    assert not np.array_equal(first.patients["site-0000"].x, other.patients["site-0000"].x)


def test_hospitals_and_diagnoses_are_not_copies_of_each_other() -> None:
    dataset = make()
    assert len({p.x.tobytes() for p in dataset.patients.values()}) == 5
    assert len({column.tobytes() for column in truth(dataset, "site-0000").T}) == 4


def test_labels_are_drawn_from_the_true_probabilities() -> None:
    dataset = make(patients=5000, sites=2)
    for site, patients in dataset.patients.items():
        p = truth(dataset, site)
        # The mean of n labels has a standard deviation of at most .5 / sqrt(n).
        assert np.abs(patients.labels.mean(0) - p.mean(0)).max() < 4 * 0.5 / np.sqrt(5000)
        assert ((p > 0) & (p < 1)).all()


def test_prevalence_is_set_on_the_reference_patients() -> None:
    # Without differences between hospitals, their patients are the reference: N(0, 1) each.
    dataset = make(patients=20_000, sites=2, tasks=12, **SAME)
    low, high = synthetic_world.PREVALENCE
    for site in dataset.patients:
        prevalence = truth(dataset, site).mean(0)
        assert ((prevalence > low - 0.02) & (prevalence < high + 0.02)).all()
    # They do differ from diagnosis to diagnosis.
    assert np.ptp(prevalence) > 0.2


@pytest.mark.parametrize("name", ["synthetic", "synthetic-control"])
def test_bayes_rule_tells_the_classes_apart_as_well_as_the_decision_record_says(name: str) -> None:
    assert 0.85 < np.mean(bayes(load_dataset(name, data=None, seed=0))) < 0.92


def test_labels_dealt_anew_leave_nothing_to_find() -> None:
    dataset, rng = make(sites=20, patients=200), np.random.default_rng(0)
    scores = [
        roc_auc_score(rng.permutation(y), p)
        for site, patients in dataset.patients.items()
        for y, p in zip(patients.labels.T, truth(dataset, site).T, strict=True)
        if min(y.sum(), len(y) - y.sum()) >= 8
    ]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.02)


def test_diagnoses_that_share_factors_lie_in_their_span_and_the_controls_do_not() -> None:
    shared, private = (
        synthetic_world.make_world(SyntheticSettings(tasks=10, shared=s), 0).directions
        for s in (1.0, 0.0)
    )
    assert np.linalg.matrix_rank(shared) == 3
    assert np.linalg.matrix_rank(private) == 10
    assert np.linalg.norm(shared, axis=0) == pytest.approx(np.ones(10))


def direction(dataset: Dataset, number: int) -> NDArray[np.float64]:
    """Return (w_th, b_th) of the first diagnosis, from the true probabilities.

    Where hospitals do not differ z is e itself, and the logit is linear in f(z) = [z, .35 (z^2-1)].
    """
    p = truth(dataset, f"site-{number:04d}")[:, 0]
    z = generator(0, "site", number, "patients").standard_normal((len(p), 6 + 32))[:, :6]
    lifted = np.concatenate([z, 0.35 * (z**2 - 1), np.ones((len(p), 1))], axis=1)
    solution: NDArray[np.float64] = np.linalg.lstsq(lifted, np.log(p / (1 - p)))[0]
    return solution


def test_a_diagnosis_is_the_same_direction_of_norm_3_at_all_hospitals() -> None:
    dataset = make(**SAME)
    assert direction(dataset, 0) == pytest.approx(direction(dataset, 1), abs=1e-6)
    assert np.linalg.norm(direction(dataset, 0)[:-1]) == pytest.approx(3)


def test_concept_moves_the_direction_by_its_share_of_the_norm() -> None:
    moved = direction(make(**(SAME | {"concept": 0.25})), 0)[:-1] - direction(make(**SAME), 0)[:-1]
    assert np.linalg.norm(moved) == pytest.approx(3 * 0.25)


def test_tau_turns_the_direction_at_each_hospital_and_keeps_its_norm() -> None:
    dataset = make(**SAME, tau=1.0)
    one, other = (direction(dataset, number)[:-1] for number in (0, 1))
    assert np.linalg.norm(one) == pytest.approx(3)
    assert np.linalg.norm(one - other) > 1


def test_hospitals_differ_in_prevalence_by_labelshift() -> None:
    biases = [direction(make(**(SAME | {"labelshift": 0.6})), number)[-1] for number in range(5)]
    assert 0.1 < np.std(biases) < 1.5


def test_the_sicker_a_patient_the_more_is_measured() -> None:
    settings = SyntheticSettings(patients=3000, sites=2)
    rng = np.random.default_rng(0)
    z = np.concatenate([np.full((1, 6), 0.1), np.full((1, 6), 2.0)])
    well, sick = synthetic._observed(settings, z, rng)
    assert (sick > well).all()


def test_about_a_fifth_of_the_entries_is_missing() -> None:
    dataset = make(sites=20)
    masks = [name.endswith(" measured") for name in input_names(dataset.study.features)]
    measured = np.concatenate([p.x[:, masks] for p in dataset.patients.values()]).mean()
    assert measured == pytest.approx(0.8, abs=0.05)


def test_held_out_sites_and_tasks_are_the_last_quarter() -> None:
    dataset = generate(SyntheticSettings(), 0)
    assert dataset.held_out_sites == tuple(f"site-{i:04d}" for i in range(30, 40))
    assert dataset.held_out_tasks == ("diagnosis 10", "diagnosis 11", "diagnosis 12")
    assert dataset.validation_tasks == ("diagnosis 08", "diagnosis 09")


def test_patients_are_divided_at_the_middle_of_the_first_measurement() -> None:
    dataset = make()
    groups = {str(name) for p in dataset.patients.values() for name in p.group}
    assert groups == {"m01 < 0", "m01 >= 0", "m01 unknown"}


def test_the_control_differs_in_nothing_but_shared() -> None:
    control = load_dataset("synthetic-control", data=None, seed=0, sites=5)
    default = load_dataset("synthetic", data=None, seed=0, sites=5)
    site = "site-0000"
    assert np.array_equal(control.patients[site].x, default.patients[site].x)
    assert not np.array_equal(truth(control, site), truth(default, site))


@pytest.mark.parametrize("name", [f.name for f in fields(SyntheticSettings)])
def test_a_setting_below_its_range_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is -1"):
        SyntheticSettings(**{name: -1})


@pytest.mark.parametrize(("name", "value"), [("shared", 1.5), ("tau", float("nan")), ("sites", 1)])
def test_a_setting_outside_its_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}"):
        SyntheticSettings(**{name: value})  # type: ignore[arg-type]


def test_probabilities_of_all_tasks_are_bit_for_bit_those_of_one_task_after_another() -> None:
    settings = SyntheticSettings(**SMALL, tau=0.5)
    world, rng = synthetic_world.make_world(settings, 0), np.random.default_rng(0)
    lifted, concept = rng.standard_normal((30, 12)), rng.standard_normal(12)
    together = synthetic._probabilities(
        settings, world, lifted, concept, [generator(0, t) for t in range(4)]
    )
    for t in range(4):
        task = generator(0, t)
        bias = world.bias[t] + settings.labelshift * task.standard_normal()
        own = task.standard_normal(12)
        direction = world.directions[:, t] + settings.tau * own / np.linalg.norm(own)
        direction = direction / np.linalg.norm(direction) + concept
        logit = np.zeros(30)
        for k in range(12):
            logit += direction[k] * lifted[:, k]
        alone = (1 + np.tanh((settings.strength * logit + bias) / 2)) / 2
        assert np.array_equal(together[t], alone)


@pytest.mark.parametrize("sites", [2, synthetic.BLOCK, synthetic.BLOCK + 1])
def test_every_site_has_its_own_rows_whatever_block_it_is_encoded_in(sites: int) -> None:
    dataset = make(sites=sites)
    assert list(dataset.patients) == [f"site-{i:04d}" for i in range(sites)]
    assert {(p.x.shape, p.labels.shape, p.group.shape) for p in dataset.patients.values()} == {
        ((30, 64), (30, 4), (30,))
    }
    for site, patients in dataset.patients.items():
        assert patients.site == site
        below = patients.x[:, 0] < 0
        assert (patients.group[below] == "m01 < 0").all()
