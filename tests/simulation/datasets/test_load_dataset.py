import numpy as np
import pytest

from common.errors import SettingsError
from common.patients import MISSING
from simulation.datasets import NAMES, load_dataset


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        load_dataset("mimic", data=None, seed=0)
    assert all(name in str(caught.value) for name in NAMES)


def test_real_hospitals_cannot_be_multiplied() -> None:
    with pytest.raises(SettingsError, match="7 sites cannot be had of thyroid"):
        load_dataset("thyroid", data=None, seed=0, sites=7)


def test_virtual_hospitals_can() -> None:
    assert len(load_dataset("synthetic", data=None, seed=0, sites=7).patients) == 7


@pytest.mark.parametrize("name", ["thyroid", "synthetic", "synthetic-control"])
def test_a_data_set_keeps_the_promises_of_its_type(name: str) -> None:
    dataset = load_dataset(name, data=None, seed=0)
    tasks = {task.name for task in dataset.study.tasks}
    assert dataset.name == name
    assert list(dataset.patients) == sorted(dataset.patients)
    assert set(dataset.held_out_sites) < set(dataset.patients)
    assert set(dataset.held_out_tasks) | set(dataset.validation_tasks) < tasks
    assert not set(dataset.held_out_tasks) & set(dataset.validation_tasks)
    assert dataset.note
    for site, patients in dataset.patients.items():
        assert patients.site == site
        assert patients.x.dtype == np.float32
        assert np.isfinite(patients.x).all()
        assert patients.labels.shape == (len(patients), len(tasks))
        assert set(np.unique(patients.labels)) <= {MISSING, 0, 1}
        assert patients.group.shape == (len(patients),)
