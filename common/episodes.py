"""Tasks, and the patient-disjoint episodes that are drawn from them.

An episode is one support set and one query set of one task. In a round no patient of a site stands
in two episodes, nor in both sets of one: that is what later bounds a patient's influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.errors import SettingsError

Prevalence = Literal["natural", "balanced"]


@dataclass(frozen=True)
class Task:
    """One diagnostic question at one site: row i is one patient.

    x: float32 [n, features], imputed and scaled, or rows of any shape for a model that takes them;
    y: int64 [n], the class; patient: int64 [n], the patient's index at the site, the same in all
    the site's tasks.
    """

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    patient: NDArray[np.int64]


@dataclass(frozen=True)
class Site:
    """A hospital as its client sees it: a name, a secret key for its draws, and its tasks.

    slots: the number of patient slots it has declared, where groups of patients are drawn.
    """

    name: str
    key: bytes
    tasks: Sequence[Task]
    slots: int = 0


class Rows(NamedTuple):
    """Labelled patients: x [..., n, *row], y [..., n], weight [..., n] (0 marks padding)."""

    x: Tensor
    y: Tensor
    weight: Tensor


class Episode(NamedTuple):
    """A support and a query set; a batch of episodes has one more leading dimension."""

    support: Rows
    query: Rows


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """How many patients an episode holds and how many episodes a site draws in a round.

    prevalence: "natural" draws patients as they come; "balanced" draws equally many of each class,
    as far as there are, in support and query alike.
    """

    support: int = 10
    query: int = 15
    meta_batch: int = 8
    prevalence: Prevalence = "natural"

    def __post_init__(self) -> None:
        for name in ("support", "query", "meta_batch"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"{name} is {getattr(self, name)}", where="episodes", remedy="give 1 or more"
                )
