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

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.groups import group_names
from common.features import encode
from common.patients import Patients
from common.randomness import generator
from common.study import Feature, GroupRule, Study, TaskRule
from simulation.datasets.base import Dataset
from simulation.datasets.synthetic_world import (
    SPREAD,
    SyntheticSettings,
    World,
    lift,
    logistic,
    make_world,
    mix,
    unit,
)

__all__ = ["SyntheticSettings", "generate"]

Floats = NDArray[np.float64]
NOTE = (
    "Virtual hospitals, drawn from a generator: no patient is real, and nothing here is evidence "
    "about medicine. Compare synthetic-control, whose diagnoses share nothing."
)
BLOCK = 8  # sites that are encoded together: few enough for the cache


class _Drawn(NamedTuple):
    """A hospital's patients: x [n, d], NaN where missing; labels and P(y = 1), [n, tasks]."""

    seen: Floats
    labels: NDArray[np.int64]
    probabilities: Floats


def generate(settings: SyntheticSettings, seed: int, *, name: str = "synthetic") -> Dataset:
    """Return the world that belongs to `seed`.

    The last quarter of the sites and of the diagnoses is held out, a sixth of the diagnoses before
    them is for validation.
    """
    study = _study(settings, name)
    world = make_world(settings, seed)
    patients, probabilities = dict[str, Patients](), dict[str, Floats]()
    for start in range(0, settings.sites, BLOCK):
        numbers = range(start, min(start + BLOCK, settings.sites))
        drawn = {f"site-{i:04d}": _site(settings, world, seed, i) for i in numbers}
        patients |= _encoded(drawn, study)
        probabilities |= {site: one.probabilities for site, one in drawn.items()}
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


def _encoded(drawn: Mapping[str, _Drawn], study: Study) -> dict[str, Patients]:
    """Return the hospitals' patients; encoding many at once saves most of its time."""
    columns = np.concatenate([one.seen.T for one in drawn.values()], axis=1)
    values = {f.name: column for f, column in zip(study.features, columns, strict=True)}
    x, group = encode(values, study.features), group_names(values, study)
    shares = zip(np.split(x, len(drawn)), np.split(group, len(drawn)), strict=True)
    return {
        site: Patients(site, own, one.labels, groups)
        for (site, one), (own, groups) in zip(drawn.items(), shares, strict=True)
    }


def _site(settings: SyntheticSettings, world: World, seed: int, number: int) -> _Drawn:
    """Return what is drawn for a hospital."""
    n, q = settings.patients, settings.systems
    rng = generator(seed, "site", number)
    normal = generator(seed, "site", number, "patients").standard_normal(
        (n, q + settings.measurements)
    )
    z = _physiology(settings, normal[:, :q], rng)
    x = _measure(settings, world, z, normal[:, q:], rng)
    observed = _observed(settings, z, rng)
    chance = generator(seed, "site", number, "missing").random(observed.shape)
    concept = settings.concept * unit(rng.standard_normal(2 * q))
    tasks = [generator(seed, "site", number, "task", t) for t in range(settings.tasks)]
    probabilities = _probabilities(settings, world, lift(z, settings), concept, tasks)
    # A row a task: so a task's labels lie side by side and need no copy.
    labels = np.stack([task.random(n) for task in tasks]) < probabilities
    return _Drawn(
        np.where(chance < observed, x, np.nan), labels.astype(np.int64).T, probabilities.T
    )


def _probabilities(
    settings: SyntheticSettings,
    world: World,
    lifted: Floats,
    concept: Floats,
    tasks: Sequence[np.random.Generator],
) -> Floats:
    """Return P(y = 1) [tasks, n] of patients whose f(z) is `lifted` [n, 2q]."""
    bias = world.bias + settings.labelshift * np.array([rng.standard_normal() for rng in tasks])
    directions = [
        unit(shared + settings.tau * unit(rng.standard_normal(len(shared)))) + concept
        for rng, shared in zip(tasks, world.directions.T, strict=True)
    ]
    logit = settings.strength * mix(np.array(directions), lifted.T) + bias[:, None]
    return logistic(logit)


def _physiology(settings: SyntheticSettings, normal: Floats, rng: np.random.Generator) -> Floats:
    """Return z [n, q] = m_h + L_h e."""
    q = settings.systems
    mean: Floats = settings.covshift * rng.standard_normal(q)
    spread = np.eye(q) + SPREAD * settings.covshift * rng.standard_normal((q, q)) / np.sqrt(q)
    return mean + mix(normal, spread)


def _measure(
    settings: SyntheticSettings, world: World, z: Floats, noise: Floats, rng: np.random.Generator
) -> Floats:
    """Return x [n, d], as if all of it were measured."""
    scale = np.exp(settings.calib * rng.standard_normal(settings.measurements))
    shift = settings.calib * rng.standard_normal(settings.measurements)
    signal = 2 * np.tanh((mix(z, world.mixing) + world.offset) / 2)
    x: Floats = scale * signal + shift + settings.noise * noise
    return x


def _observed(settings: SyntheticSettings, z: Floats, rng: np.random.Generator) -> Floats:
    """Return the probability [n, d] that an entry is measured: the sicker, the more is."""
    q = settings.systems
    miss = np.clip(settings.miss, 1e-6, 1 - 1e-6)
    usual = np.log((1 - miss) / miss) + SPREAD * rng.standard_normal(settings.measurements)
    severity = ((z**2).sum(axis=1) - q) / np.sqrt(2 * q)
    return logistic(usual + settings.mnar * severity[:, None])
