"""Virtual hospitals whose diagnoses share structure, with the true probability of each label.

A patient has a latent physiology z, the state of q organ systems, z = m_h + L_h e at hospital h.
Measurements see it through a saturating mixture and a hospital's own calibration, and are missing
not at random: x = 2 tanh((A z + o) / 2) scale_h + shift_h + noise e, and entry j is observed with
probability s(o_hj + mnar severity(z)), s the logistic function. A diagnosis t is one direction w_t:

    P(y = 1) = s((w_th + strength concept c_h) f(z) + b_th),   f(z) = [z, quad (z^2 - 1)]
    w_t = strength unit(sqrt(shared) unit(B l_t) + sqrt(1 - shared) unit(v_t))

B holds the factors that all diagnoses share and l_t >= 0 a diagnosis' sparse loadings. With shared
= 0 the diagnoses have nothing in common: trained ones say nothing about a new one, the control.

Every number is a pure function of (seed, hospital, diagnosis, patient): more hospitals, diagnoses
or patients never change the earlier ones.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.groups import group_names
from common.errors import SettingsError
from common.features import encode
from common.patients import Patients
from common.randomness import generator
from common.study import Feature, GroupRule, Study, TaskRule
from simulation.datasets.base import Dataset

Floats = NDArray[np.float64]
NOTE = (
    "Virtual hospitals, drawn from a generator: no patient is real, and nothing here is evidence "
    "about medicine. Compare synthetic-control, whose diagnoses share nothing."
)
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


class _World(NamedTuple):
    """What all hospitals share: A^T [q, d], o [d], w / strength [2q, tasks] and b [tasks]."""

    mixing: Floats
    offset: Floats
    directions: Floats
    bias: Floats


def generate(settings: SyntheticSettings, seed: int, *, name: str = "synthetic") -> Dataset:
    """Return the world that belongs to `seed`.

    The last quarter of the sites and of the diagnoses is held out, a sixth of the diagnoses before
    them is for validation.
    """
    study = _study(settings, name)
    world = _world(settings, seed)
    patients, probabilities = {}, {}
    for number in range(settings.sites):
        site = f"site-{number:04d}"
        patients[site], probabilities[site] = _site(settings, study, world, seed, number, site)
    tasks = tuple(task.name for task in study.tasks)
    first_held_out = len(tasks) - max(1, len(tasks) // 4)
    return Dataset(
        name=name,
        study=study,
        patients=patients,
        note=NOTE,
        held_out_sites=tuple(patients)[-max(1, settings.sites // 4) :],
        held_out_tasks=tasks[first_held_out:],
        validation_tasks=tasks[first_held_out - len(tasks) // 6 : first_held_out],
        probabilities=probabilities,
    )


def _study(settings: SyntheticSettings, name: str) -> Study:
    measurements = [f"m{j:02d}" for j in range(1, settings.measurements + 1)]
    diagnoses = [f"diagnosis {t:02d}" for t in range(1, settings.tasks + 1)]
    return Study(
        name=name,
        features=tuple(Feature(name=m) for m in measurements),
        tasks=tuple(TaskRule(name=d, column=d) for d in diagnoses),
        groups=(GroupRule(column=measurements[0], edges=(0.0,)),),
    )


def _world(settings: SyntheticSettings, seed: int) -> _World:
    rng = generator(seed, "world")
    q, d = settings.systems, settings.measurements
    mixing = rng.standard_normal((q, d)) * (rng.random((q, d)) < settings.mixing_density)
    offset = SPREAD * rng.standard_normal(d)
    factors = rng.standard_normal((2 * q, settings.factors))
    tasks = [generator(seed, "task", t) for t in range(settings.tasks)]
    target = np.array([task.uniform(*PREVALENCE) for task in tasks])
    directions = np.stack([_direction(settings, factors, task) for task in tasks], axis=1)
    return _World(mixing, offset, directions, _bias(settings, seed, directions, target))


def _direction(settings: SyntheticSettings, factors: Floats, rng: np.random.Generator) -> Floats:
    """Return w_t / strength [2q]."""
    loadings = np.abs(rng.standard_normal(settings.factors))
    zero = rng.random(settings.factors) < settings.sparsity
    zero[np.argmax(loadings)] = False  # no diagnosis is without a cause
    common = _unit(factors @ np.where(zero, 0.0, loadings))
    private = _unit(rng.standard_normal(len(factors)))
    return _unit(np.sqrt(settings.shared) * common + np.sqrt(1 - settings.shared) * private)


def _bias(settings: SyntheticSettings, seed: int, directions: Floats, target: Floats) -> Floats:
    """Return b [tasks] that gives each diagnosis its target prevalence, by bisection."""
    z = generator(seed, "reference").standard_normal((REFERENCE, settings.systems))
    z *= np.hypot(1.0, settings.covshift)  # as wide as the patients of all hospitals together
    # A row a task, so that the order of summation does not depend on the number of tasks.
    logits = np.ascontiguousarray(settings.strength * _mix(_lift(z, settings), directions).T)
    low: Floats = np.full(len(target), -30.0)
    high: Floats = np.full(len(target), 30.0)
    for _ in range(40):
        middle = (low + high) / 2
        too_many = _logistic(logits + middle[:, None]).mean(axis=1) > target
        low, high = np.where(too_many, low, middle), np.where(too_many, middle, high)
    return (low + high) / 2


def _site(
    settings: SyntheticSettings, study: Study, world: _World, seed: int, number: int, site: str
) -> tuple[Patients, Floats]:
    """Return a hospital's patients and the true probabilities [n, tasks] of their labels."""
    n, q = settings.patients, settings.systems
    rng = generator(seed, "site", number)
    normal = generator(seed, "site", number, "patients").standard_normal(
        (n, q + settings.measurements)
    )
    z = _physiology(settings, normal[:, :q], rng)
    x = _measure(settings, world, z, normal[:, q:], rng)
    observed = _observed(settings, z, rng)
    chance = generator(seed, "site", number, "missing").random(observed.shape)
    lifted, concept = _lift(z, settings), settings.concept * _unit(rng.standard_normal(2 * q))
    labels, probabilities = np.empty((n, settings.tasks), dtype=np.int64), []
    for t in range(settings.tasks):
        task = generator(seed, "site", number, "task", t)
        bias = world.bias[t] + settings.labelshift * task.standard_normal()
        own = settings.tau * _unit(task.standard_normal(2 * q))
        direction = _unit(world.directions[:, t] + own) + concept
        logit = settings.strength * _mix(lifted, direction[:, None])[:, 0] + bias
        probabilities.append(_logistic(logit))
        labels[:, t] = task.random(n) < probabilities[-1]
    seen = np.where(chance < observed, x, np.nan)
    values = {f.name: seen[:, j] for j, f in enumerate(study.features)}
    encoded = encode(values, study.features)
    patients = Patients(site, encoded, labels, group_names(values, study))
    return patients, np.stack(probabilities, axis=1)


def _physiology(settings: SyntheticSettings, normal: Floats, rng: np.random.Generator) -> Floats:
    """Return z [n, q] = m_h + L_h e."""
    q = settings.systems
    mean: Floats = settings.covshift * rng.standard_normal(q)
    spread = np.eye(q) + SPREAD * settings.covshift * rng.standard_normal((q, q)) / np.sqrt(q)
    return mean + _mix(normal, spread)


def _measure(
    settings: SyntheticSettings, world: _World, z: Floats, noise: Floats, rng: np.random.Generator
) -> Floats:
    """Return x [n, d], as if all of it were measured."""
    scale = np.exp(settings.calib * rng.standard_normal(settings.measurements))
    shift = settings.calib * rng.standard_normal(settings.measurements)
    signal = 2 * np.tanh((_mix(z, world.mixing) + world.offset) / 2)
    x: Floats = scale * signal + shift + settings.noise * noise
    return x


def _observed(settings: SyntheticSettings, z: Floats, rng: np.random.Generator) -> Floats:
    """Return the probability [n, d] that an entry is measured: the sicker, the more is."""
    q = settings.systems
    miss = np.clip(settings.miss, 1e-6, 1 - 1e-6)
    usual = np.log((1 - miss) / miss) + SPREAD * rng.standard_normal(settings.measurements)
    severity = ((z**2).sum(axis=1) - q) / np.sqrt(2 * q)
    return _logistic(usual + settings.mnar * severity[:, None])


def _lift(z: Floats, settings: SyntheticSettings) -> Floats:
    """Return f(z) [n, 2q]."""
    return np.concatenate([z, settings.quad * (z**2 - 1)], axis=1)


def _mix(rows: Floats, matrix: Floats) -> Floats:
    """Return rows @ matrix, bit for bit the same for a row whatever rows stand beside it."""
    total = np.zeros((len(rows), matrix.shape[1]))
    for k, weights in enumerate(matrix):
        total += rows[:, k, None] * weights
    return total


def _logistic(logit: Floats) -> Floats:
    return (1 + np.tanh(logit / 2)) / 2


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit
