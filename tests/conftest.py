"""A small federation that fits every test: five wards, two diagnoses, a table and its study."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from common.randomness import generator
from common.study import Study, make_study, study_toml
from simulation.source import DEFAULTS

torch.set_num_threads(1)

SITES = ("Ash", "Birch", "Cedar", "Elm", "Fir")
Settings = dict[str, Any]


def ward_settings() -> Settings:
    """Nested settings of a study over five wards."""
    return {
        "name": "wards",
        "features": [
            {"name": "age", "unit": "years", "usual": [20, 80]},
            {"name": "marker", "may_be_missing": True},
            {"name": "sex", "kind": "category", "categories": ["F", "M"]},
        ],
        "tasks": [
            {"name": "gout", "column": "gout"},
            {"name": "anaemia", "column": "anaemia", "forbidden": ["sex"]},
        ],
        "groups": [{"column": "sex"}, {"column": "age", "edges": [50]}],
        "model": {"hidden": 8},
        "episodes": {"support": 4, "query": 6, "meta_batch": 3},
        "algorithm": {"name": "maml", "inner_steps": 2},
        "server": {"rounds": 4, "meta_lr": 0.01, "deadline_s": 5, "attempts": 2},
        "privacy": {},
        "evaluation": {"k": [0, 5, 10], "k_per_class": [2], "draws": 4, "min_per_class": 4},
    }


def ward_table(patients: int = 60) -> pd.DataFrame:
    """Five wards whose diagnoses follow age and marker, with some markers missing."""
    frames = []
    for site in SITES:
        rng = generator("wards", site)
        age, marker = rng.uniform(20, 80, patients), rng.standard_normal(patients)
        noise = rng.standard_normal((2, patients))
        frames.append(
            pd.DataFrame(
                {
                    "patient_id": [f"{site}-{i}" for i in range(patients)],
                    "site": site,
                    "age": age,
                    "marker": np.where(rng.random(patients) < 0.1, np.nan, marker),
                    "sex": rng.choice(["F", "M"], patients),
                    "gout": ((age - 50) / 15 + marker + noise[0] > 0).astype(int),
                    "anaemia": (marker - (age - 50) / 30 + noise[1] > 0).astype(int),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def ward_study() -> Study:
    return make_study(ward_settings(), where="test")


@pytest.fixture
def wards(tmp_path: Path) -> Callable[..., Settings]:
    """Write the wards' table and study; return run settings, changed as given.

    Nested study settings are given by section: `wards(server={"rounds": 2}, seed=3)`.
    """

    def write(**changes: Any) -> Settings:
        nested = ward_settings()
        for section in [key for key in changes if key in nested]:
            nested[section] = nested[section] | changes.pop(section)
        study, data = tmp_path / "wards.toml", tmp_path / "wards.csv"
        study.write_text(study_toml(make_study(nested, where="test")))
        ward_table().to_csv(data, index=False)
        paths = {"dataset": "table", "study": str(study), "data": str(data)}
        return DEFAULTS | paths | {key.replace("_", "-"): value for key, value in changes.items()}

    return write
