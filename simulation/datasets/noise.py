"""Hospitals of noise, for measuring speed: labels follow from nothing, so nothing can be learned.

However many hospitals there are, they draw from the same few tables of patients: what a round costs
depends on no value, and memory then shows what an engine holds rather than its data.
"""

from functools import lru_cache

import numpy as np

from common.patients import Patients
from common.randomness import generator
from common.study import Feature, Study, TaskRule
from simulation.datasets.base import Dataset

FEATURES, TASKS, PATIENTS, TABLES = 32, 8, 200, 64
VALIDATION = 4  # of so many sites and one, one is set apart by the few-shot scenario


def study() -> Study:
    """Return the study of noise: 32 inputs, 8 diagnoses."""
    features = tuple(Feature(name=f"m{j:02d}", may_be_missing=False) for j in range(FEATURES))
    tasks = tuple(TaskRule(name=f"diagnosis {t}", column=f"diagnosis {t}") for t in range(TASKS))
    return Study(name="noise", features=features, tasks=tasks)


@lru_cache(maxsize=1)
def tables(seed: int) -> tuple[Patients, ...]:
    """Return the tables that all hospitals share."""
    return tuple(_table(seed, number) for number in range(TABLES))


def _table(seed: int, number: int) -> Patients:
    rng = generator(seed, "noise", number)
    x = rng.standard_normal((PATIENTS, FEATURES)).astype(np.float32)
    labels = rng.integers(0, 2, (PATIENTS, TASKS))
    return Patients("", x, labels, np.full(PATIENTS, ""))


def generate(sites: int, seed: int) -> Dataset:
    """Return so many hospitals for training, one held out, and those that scenarios set apart."""
    shared = tables(seed)
    number = sites + max(2, round(sites / VALIDATION)) + 1
    names = [f"site-{i:05d}" for i in range(number)]
    patients = {
        name: Patients(name, t.x, t.labels, t.group)
        for name, t in zip(names, (shared[i % TABLES] for i in range(number)), strict=True)
    }
    return Dataset(
        name="noise",
        study=study(),
        patients=patients,
        note="Noise: no patient is real and nothing can be learned. For measuring speed.",
        held_out_sites=(names[-1],),
        held_out_tasks=(f"diagnosis {TASKS - 1}",),
        validation_tasks=(f"diagnosis {TASKS - 2}",),
    )
