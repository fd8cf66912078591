"""A hospital, Ash, and a study of three sites that protects their patients."""

from typing import Any

import pandas as pd
import pytest

from common.study import Study, make_study
from tests.conftest import ward_settings
from tests.hospital import ward

PRIVACY = {
    "profile": "robust",
    "aggregation": "median",
    "clip_norm": 0.5,
    "noise_multiplier": 5.0,
    "coin": 1.0,
    "delta": 1e-3,
}
SITES = [{"name": name, "patients": 90} for name in ("Ash", "Birch", "Cedar")]


def changed(**sections: Any) -> Study:
    """Return the study with sections of its settings exchanged."""
    settings = ward_settings() | {"sites": SITES, "server": {"rounds": 2}, "privacy": PRIVACY}
    return make_study(settings | sections, where="test")


@pytest.fixture
def study() -> Study:
    return changed()


@pytest.fixture
def table() -> pd.DataFrame:
    return ward("Ash")
