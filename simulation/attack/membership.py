"""Does this patient take part? Membership inference from what a coordinator sees of one site.

A likelihood ratio as in Carlini, Chien, Nasr, Song, Terzis, Tramer, "Membership Inference Attacks
From First Principles", IEEE S&P 2022, arXiv 2112.03570, on updates instead of losses, with shadow
updates that the attacker computes itself. That MAML's updates give members away is known from
Rafiei, Maheri, Rabiee, "Privacy Challenges in Meta-Learning", 2024, arXiv 2406.00249. This attacker
is stronger than theirs: it repeats theta in every round, may make it up (simulation/attack/trap.py)
and knows all other patients of the site. Unknown to it are the partition, the coins and the noise.

It takes a round's update u for Gaussian, with mean m and a covariance S from shadow groups and the
public noise. If the patient's group takes part, the mean moves by d, on average over partners. With
w = S^-1 d and the coin q, the log-likelihood ratio is log(1 - q + q exp(w (u - m) - w d / 2)).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.episodes import Episode, Rows
from common.learner import Learner, make_learner
from common.metrics import areas
from common.parameters import Params, flatten
from common.privacy.clipping import clip
from common.randomness import generator
from common.study import Study, TaskRule
from common.study_sections import AlgorithmSettings, EpisodeSettings, Profile
from simulation.attack.patients import FEATURES, draw_patients
from simulation.attack.protection import (
    CLIP_NORM,
    COIN,
    EXPECTED_GROUPS,
    PROFILES,
    ROUNDS,
    noise_std,
    seen,
)
from simulation.attack.trap import trap

Floats = NDArray[np.float64]

SUPPORT, GROUP_SIZE = 5, 10
GROUPS = round(EXPECTED_GROUPS / COIN)
PATIENTS = GROUPS * GROUP_SIZE
SHADOWS, FEWER, PARTNERS = 4_000, 400, 100
"""Shadow groups of the site, in a trap; and so many with the patient beside as many without."""
RIDGE = 1e-3  # of the mean variance: finitely many shadows have directions without variance
SINGLE = 10  # rounds in which the patient's group takes part, judged one by one
BOOTSTRAPS, INTERVAL = 400, (0.025, 0.975)


class Patient(NamedTuple):
    """A patient's inputs [13] and label."""

    x: Tensor
    y: Tensor


class Area(NamedTuple):
    """An area under the ROC curve and its bootstrap interval over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Hospital:
    """A site whose patients are all known: x [n, 13], y [n]; and theta that it is sent.

    num_shadows: how many groups the attacker computes itself.
    """

    learner: Learner
    theta: Params
    x: Tensor
    y: Tensor
    num_shadows: int

    def updates(self, numbers: NDArray[np.int64], first: Patient | None = None) -> Tensor:
        """Return the updates [g, d] of groups of patients [g, S], one for each episode.

        first: whom patient 0 is exchanged for.
        """
        x, y = self.x[numbers], self.y[numbers]
        if first is not None:
            x[torch.from_numpy(numbers == 0)], y[torch.from_numpy(numbers == 0)] = first
        weight = torch.ones(y.shape)
        sides = [
            Rows(*(part[:, cut].unsqueeze(1) for part in (x, y, weight)))
            for cut in (slice(SUPPORT), slice(SUPPORT, None))
        ]
        return self.learner.updates(flatten(self.theta), Episode(*sides), round_index=1)

    @cached_property
    def shadows(self) -> Tensor:
        """Updates [num_shadows, d] of groups of the site's own patients, without patient 0."""
        return self.updates(_others(generator("shadows"), self.num_shadows, GROUP_SIZE))

    def shift(self, patient: Patient, clipped: bool, rng: np.random.Generator) -> Tensor:
        """Return d [d]: how a group's update moves if the patient takes another one's place."""
        without = _others(rng, PARTNERS, GROUP_SIZE)
        present = without.copy()
        present[np.arange(PARTNERS), rng.integers(GROUP_SIZE, size=PARTNERS)] = 0
        pair = self.updates(present, patient), self.updates(without)
        one, other = (clip(u, clip_norm=CLIP_NORM) if clipped else u for u in pair)
        return (one - other).mean(0) / EXPECTED_GROUPS


def make_hospital(seed: int, algorithm: str = "maml") -> Hospital:
    """Return a hospital of generated patients and a fresh theta."""
    study = Study(
        name="membership",
        features=FEATURES,
        tasks=(TaskRule(name="generated", column="diagnosis"),),
        algorithm=AlgorithmSettings(name=algorithm, inner_lr=0.1, inner_steps=1),
        episodes=EpisodeSettings(support=SUPPORT, query=GROUP_SIZE - SUPPORT, meta_batch=1),
    )
    task = draw_patients(generator(seed, "hospital"), PATIENTS)
    learner = make_learner(study, seed=seed)
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    return Hospital(learner, learner.initial, x, y, SHADOWS)


def ordinary(rng: np.random.Generator) -> Patient:
    """Return one of those whom the hospitals treat."""
    task = draw_patients(rng, 50)
    return Patient(torch.from_numpy(task.x[0]), torch.tensor(task.y[0]))


def trapped(hospital: Hospital, patient: Patient) -> Hospital:
    """Return the hospital when it is sent a theta that is a trap for the patient."""
    theta = trap(hospital.theta, patient.x, int(patient.y), hospital.x[1:])
    return replace(hospital, theta=theta, num_shadows=FEWER)


@dataclass(frozen=True)
class Attacker:
    """What the attacker knows of a hospital under a profile: mean m and covariance S."""

    hospital: Hospital
    profile: Profile

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean [d] and the Cholesky factor [d, d] of the covariance of a round's update."""
        groups = self.hospital.shadows
        if self.profile != "none":
            groups = clip(groups, clip_norm=CLIP_NORM)
        groups = groups.double() / EXPECTED_GROUPS
        mean = groups.mean(0)
        # A sum over groups that each take part with probability q.
        covariance = EXPECTED_GROUPS * groups.T @ groups / len(groups)
        covariance -= EXPECTED_GROUPS * COIN * torch.outer(mean, mean)
        extra = RIDGE * covariance.diagonal().mean() + noise_std(self.profile) ** 2
        covariance.diagonal().add_(extra)
        return EXPECTED_GROUPS * mean, torch.linalg.cholesky(covariance)

    def ratios(self, patient: Patient, observed: Tensor, rng: np.random.Generator) -> Floats:
        """Return the log-likelihood ratio [T] of each observed update [T, d]: is it a member?"""
        mean, factor = self.moments
        moved = self.hospital.shift(patient, self.profile != "none", rng).double()
        w = torch.cholesky_solve(moved[:, None], factor)[:, 0]
        exponent = (observed.double() - mean) @ w - w @ moved / 2
        taken = torch.logaddexp(torch.tensor(1 - COIN).log(), torch.tensor(COIN).log() + exponent)
        return taken.numpy()


def infer(
    hospital: Hospital, candidates: int, seed: int, *, crafted: bool
) -> dict[Profile, tuple[Area, Area]]:
    """Return how well so many members are told from others: by one round, by all of a run.

    The one round is one in which the patient's group takes part, or the group with another patient
    in its place; in a run most rounds pass a patient by. crafted: theta is a trap.
    """
    ratios = {profile: np.empty((2, candidates, SINGLE + ROUNDS)) for profile in PROFILES}
    known = _attackers(hospital)
    for member, number in product((1, 0), range(candidates)):
        rng = generator(seed, member, number)
        patient, instead = ordinary(rng), ordinary(rng)
        attackers = _attackers(trapped(hospital, patient)) if crafted else known
        sent = attackers[0].hospital
        groups = _rounds(sent, patient if member else instead, rng)
        for attacker in attackers:
            observed = torch.stack([seen(part, attacker.profile, rng) for part in groups])
            found = attacker.ratios(patient, observed, rng)
            ratios[attacker.profile][member, number] = found
    return {
        profile: (_area(r[..., :SINGLE]), _area(r[..., SINGLE:].sum(-1, keepdims=True)))
        for profile, r in ratios.items()
    }


def _attackers(hospital: Hospital) -> list[Attacker]:
    return [Attacker(hospital, profile) for profile in PROFILES]


def _rounds(hospital: Hospital, patient: Patient, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Return the updates [g, d] of the groups that take part: SINGLE rounds with, then a run."""
    chosen = []
    for number in range(SINGLE + ROUNDS):
        partition = rng.permutation(PATIENTS).reshape(GROUPS, GROUP_SIZE)
        sure = (number < SINGLE) & (partition == 0).any(1)
        chosen.append(partition[sure | (rng.random(GROUPS) < COIN)])
    updates = hospital.updates(np.concatenate(chosen), patient)
    return torch.split(updates, [len(part) for part in chosen])


def _area(ratios: Floats) -> Area:
    """Return the area of ratios [2, candidates, rounds]: others, then members, each round a case.

    Rounds of a candidate are drawn together, for they share it.
    """
    _, candidates, rounds = ratios.shape
    y = np.repeat([0, 1], candidates * rounds)
    rng = generator("bootstrap", candidates, rounds)
    drawn = rng.integers(candidates, size=(BOOTSTRAPS, 2, candidates))
    drawn[0] = np.arange(candidates)
    again = ratios[np.arange(2)[:, None], drawn].reshape(BOOTSTRAPS, -1)
    found = areas(y, again)
    low, high = np.quantile(found, INTERVAL)
    return Area(float(found[0]), float(low), float(high))


def _others(rng: np.random.Generator, groups: int, size: int) -> NDArray[np.int64]:
    """Return groups [groups, size] of patients who are not patient 0, distinct in each."""
    numbers: NDArray[np.int64] = rng.random((groups, PATIENTS - 1)).argpartition(size, axis=1)
    return 1 + numbers[:, :size]
