"""A study with noise, over four wards that declare their patients."""

from typing import Any

from common.study import Study, make_study

PRIVATE = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 2.16, "coin": 0.1}
SITES = [
    {"name": "Ash", "patients": 2009},
    {"name": "Birch", "patients": 2000},
    {"name": "Cedar", "patients": 4000, "weight": 3.0},
    {"name": "Dale", "patients": 799},
]


VOTERS = [
    {"name": name, "patients": 2000, "classes": {"gout": [1400, 600]}}
    for name in ("Ash", "Birch", "Cedar")
]


def private(**changes: Any) -> Study:
    settings: dict[str, Any] = {
        "name": "wards",
        "features": [{"name": "age"}],
        "tasks": [{"name": "gout", "column": "gout"}],
        "sites": SITES,
        "episodes": {"support": 4, "query": 6},
        "server": {"rounds": 90},
        "privacy": PRIVATE | {"spare_rounds": 10},
    }
    return make_study(settings | changes, where="test")
