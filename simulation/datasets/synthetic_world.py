"""What all virtual hospitals share: the settings, the mixture and the diagnoses' directions.

The equations and their letters stand in simulation/datasets/synthetic.py.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError
from common.randomness import generator

Floats = NDArray[np.float64]
PREVALENCE = (0.05, 0.6)
REFERENCE = 10_000  # patients of the fixed draw on which the prevalence of a diagnosis is set
SPREAD = 0.5  # of what is measured where (in logits), of the mixture's offsets and of L_h


@dataclass(frozen=True, kw_only=True)
class SyntheticSettings:
    """How large the world is and how its hospitals and diagnoses differ; see the module.

    shared: how much of a diagnosis the common factors explain. tau: how far a diagnosis means
    another thing at each hospital, relative to its own direction; strength: the norm of that
    direction, in logits, so how far Bayes' rule can tell the classes apart. sparsity: the share of
    zero loadings. covshift, labelshift, concept, calib: how far hospitals differ in patients,
    prevalence, direction and instruments. miss: the share of missing entries. noise: of x.
    """

    sites: int = 40
    patients: int = 200
    tasks: int = 12
    measurements: int = 32
    systems: int = 6
    factors: int = 3
    shared: float = 1.0
    tau: float = 0.0
    strength: float = 3.0
    quad: float = 0.35
    sparsity: float = 0.5
    covshift: float = 0.5
    labelshift: float = 0.6
    concept: float = 0.25
    calib: float = 0.15
    mnar: float = 1.0
    miss: float = 0.2
    noise: float = 0.35
    mixing_density: float = 0.45

    def __post_init__(self) -> None:
        lowest = {"sites": 2, "tasks": 2, "patients": 2, "measurements": 1, "systems": 1}
        lowest["factors"] = 1
        shares = {"shared", "sparsity", "miss", "mixing_density"}
        for name in (f.name for f in fields(self)):
            value, low = getattr(self, name), lowest.get(name, 0)
            high = 1 if name in shares else 100_000
            if not low <= value <= high:
                raise SettingsError(
                    f"{name} is {value}", where="synthetic", remedy=f"give {low} to {high}"
                )

    def with_sites(self, sites: int) -> "SyntheticSettings":
        """Return the same settings with another number of sites; 0 leaves it."""
        return replace(self, sites=sites) if sites else self


class World(NamedTuple):
    """What all hospitals share: A^T [q, d], o [d], w / strength [2q, tasks] and b [tasks]."""

    mixing: Floats
    offset: Floats
    directions: Floats
    bias: Floats


def make_world(settings: SyntheticSettings, seed: int) -> World:
    """Return what the hospitals of `seed` share."""
    rng = generator(seed, "world")
    q, d = settings.systems, settings.measurements
    mixing = rng.standard_normal((q, d)) * (rng.random((q, d)) < settings.mixing_density)
    offset = SPREAD * rng.standard_normal(d)
    factors = rng.standard_normal((2 * q, settings.factors))
    tasks = [generator(seed, "task", t) for t in range(settings.tasks)]
    target = np.array([task.uniform(*PREVALENCE) for task in tasks])
    directions = np.stack([_direction(settings, factors, task) for task in tasks], axis=1)
    return World(mixing, offset, directions, _bias(settings, seed, directions, target))


def _direction(settings: SyntheticSettings, factors: Floats, rng: np.random.Generator) -> Floats:
    """Return w_t / strength [2q]."""
    loadings = np.abs(rng.standard_normal(settings.factors))
    zero = rng.random(settings.factors) < settings.sparsity
    zero[np.argmax(loadings)] = False  # no diagnosis is without a cause
    common = unit(factors @ np.where(zero, 0.0, loadings))
    private = unit(rng.standard_normal(len(factors)))
    return unit(np.sqrt(settings.shared) * common + np.sqrt(1 - settings.shared) * private)


def _bias(settings: SyntheticSettings, seed: int, directions: Floats, target: Floats) -> Floats:
    """Return b [tasks] that gives each diagnosis its target prevalence, by bisection."""
    z = generator(seed, "reference").standard_normal((REFERENCE, settings.systems))
    z *= np.hypot(1.0, settings.covshift)  # as wide as the patients of all hospitals together
    # A row a task, so that the order of summation does not depend on the number of tasks.
    logits = np.ascontiguousarray(settings.strength * mix(lift(z, settings), directions).T)
    low: Floats = np.full(len(target), -30.0)
    high: Floats = np.full(len(target), 30.0)
    for _ in range(40):
        middle = (low + high) / 2
        too_many = logistic(logits + middle[:, None]).mean(axis=1) > target
        low, high = np.where(too_many, low, middle), np.where(too_many, middle, high)
    return (low + high) / 2


def lift(z: Floats, settings: SyntheticSettings) -> Floats:
    """Return f(z) [n, 2q]."""
    return np.concatenate([z, settings.quad * (z**2 - 1)], axis=1)


def mix(rows: Floats, matrix: Floats) -> Floats:
    """Return rows @ matrix, bit for bit the same for a row whatever rows stand beside it."""
    total = np.zeros((len(rows), matrix.shape[1]))
    for k, weights in enumerate(matrix):
        total += rows[:, k, None] * weights
    return total


def logistic(logit: Floats) -> Floats:
    """Return the probability of each logit."""
    return (1 + np.tanh(logit / 2)) / 2


def unit(vector: Floats) -> Floats:
    """Return the vector [n] at length 1."""
    scaled: Floats = vector / np.linalg.norm(vector)
    return scaled
