"""The Python API: write a federated meta-learning method, run it on virtual hospitals, judge it.

    hospitals = wardround.hospitals("synthetic-control", sites=1000)
    runs = [wardround.federate(algorithm, hospitals) for algorithm in (MINE, "fedavg")]
    print(wardround.evaluate(runs, hospitals))

docs/python-api.md describes every name. All else in the distribution may change at any time. Names
are imported when they are first used, so that a module with an algorithm needs no data frames,
pictures or Flower at a hospital.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from common.adaptation import adapt, inner_step
    from common.algorithms.base import (
        Algorithm,
        InnerSettings,
        Option,
        constant,
        find_algorithm,
        gradient_of,
        rows_of,
        theta_of,
    )
    from common.episodes import Episode, Rows, Task
    from common.errors import WardroundError
    from common.models import Loss, perceptron
    from common.parameters import Params
    from common.patients import Patients
    from common.randomness import generator
    from wardround._evaluation import Evaluation, evaluate
    from wardround._federation import Federated, federate
    from wardround._hospitals import Hospitals, hospitals, hospitals_of

_HOME = {
    "common.adaptation": ("adapt", "inner_step"),
    "common.algorithms.base": (
        *("Algorithm", "InnerSettings", "Option", "constant", "find_algorithm"),
        *("gradient_of", "rows_of", "theta_of"),
    ),
    "common.episodes": ("Episode", "Rows", "Task"),
    "common.errors": ("WardroundError",),
    "common.models": ("Loss", "perceptron"),
    "common.parameters": ("Params",),
    "common.patients": ("Patients",),
    "common.randomness": ("generator",),
    "torch": ("Tensor",),
    "wardround._evaluation": ("Evaluation", "evaluate"),
    "wardround._federation": ("Federated", "federate"),
    "wardround._hospitals": ("Hospitals", "hospitals", "hospitals_of"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Algorithm",
    "Episode",
    "Evaluation",
    "Federated",
    "Hospitals",
    "InnerSettings",
    "Loss",
    "Option",
    "Params",
    "Patients",
    "Rows",
    "Task",
    "Tensor",
    "WardroundError",
    "adapt",
    "constant",
    "evaluate",
    "federate",
    "find_algorithm",
    "generator",
    "gradient_of",
    "hospitals",
    "hospitals_of",
    "inner_step",
    "perceptron",
    "rows_of",
    "theta_of",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
