"""A new data source in a simulation: two diseases at hospitals whose instruments differ."""

import numpy as np

import wardround as wr

DISEASES = ("anaemia", "gout")


def hospital(number: int, patients: int = 100) -> wr.Patients:
    """Return one hospital; every draw belongs to its number, so that nothing changes with others.

    x: float32 [n, 3]. labels: int64 [n, 2], -1 where a diagnosis is not known. group: [n].
    """
    rng = wr.generator("my data", number)
    age, iron, urate = rng.standard_normal((3, patients))
    chance = np.stack([1 / (1 + np.exp(2 * iron)), 1 / (1 + np.exp(-2 * urate - age))], axis=1)
    labels = (rng.random(chance.shape) < chance).astype(np.int64)
    labels[rng.random(labels.shape) < 0.1] = -1
    measured = np.stack([age, iron, urate], axis=1) + rng.normal(0, 0.2, 3)
    group = np.where(age > 0, "older", "younger")
    return wr.Patients(f"hospital {number:03d}", measured.astype(np.float32), labels, group)


def hospitals(number: int = 40, seed: int = 0) -> wr.Hospitals:
    """Return so many hospitals; with groups and two tasks, every scenario could divide them."""
    patients = [hospital(i) for i in range(number)]
    return wr.hospitals_of(patients, DISEASES, name="my data", seed=seed)
