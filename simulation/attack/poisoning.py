"""Lying hospitals: what a fifth of a federation can do to the others.

What they send stands in simulation/attack/lies.py. The liars see all honest updates of the round,
whatever the profile; with the masked profile no real one could. Outcome: AUROC after adaptation to
10 patients of hospitals that took no part, against the same federation without liars, in points.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from common.aggregation import nothing, weighted_sum
from common.episodes import Site, Task
from common.errors import QuorumNotReached
from common.learner import Learner, make_learner
from common.parameters import Params, unflatten
from common.personal.tunable import Tunable
from common.privacy.mechanism import on_grid
from common.randomness import derived_key, generator
from common.slots import with_slots
from common.study import Study, make_study
from common.study_sections import Profile
from server.robust import combine, public_noise
from server.rounds import Answers, Ask
from server.run import Assembled, RunOptions, run_study
from server.state import ServerState
from simulation.attack.lies import LIES, Lie, Scene
from simulation.datasets.synthetic import SyntheticSettings, generate
from simulation.draws import DrawnTask, draw_some
from simulation.evaluation import adaptation_curves
from simulation.fleet import CHUNK, Fleet
from simulation.protection import protect
from simulation.scenarios import split

WORLD = SyntheticSettings(sites=33, patients=1000)
SHARE, EPSILON, ROUNDS, K = 0.2, 4.0, 60, 10


@dataclass(frozen=True)
class Federation:
    """A generated federation: its study by profile, training sites, tasks of other hospitals."""

    seed: int
    studies: Mapping[Profile, Study]
    tasks: Mapping[str, Sequence[Task]]
    test: Sequence[DrawnTask]

    @property
    def liars(self) -> int:
        """The number of hospitals that lie: the first ones."""
        return int(SHARE * len(self.tasks))


@lru_cache(maxsize=4)
def federation(seed: int) -> Federation:
    """Return the federation of a seed."""
    world = generate(WORLD, seed)
    parts = split(world, "few-shot", held_out=(), seed=seed)
    test, _ = draw_some(parts.test, 40, 10, min_per_class=15, seed=seed)
    studies = {p: _study(world.study, list(parts.train), p) for p in ("none", "masked", "robust")}
    return Federation(seed, studies, parts.train, test)  # type: ignore[arg-type]


def _study(base: Study, sites: Sequence[str], profile: str) -> Study:
    dump = base.model_dump(mode="json", by_alias=True)
    dump["algorithm"] |= {"inner_steps": 1}
    dump["server"] |= {"rounds": ROUNDS, "attempts": 1, "meta_lr": 0.01}
    dump["sites"] = [{"name": name, "patients": WORLD.patients} for name in sites]
    if profile != "none":
        patients = dict.fromkeys(sites, WORLD.patients)
        protect(dump, patients, profile=profile, epsilon=EPSILON)
    return make_study(dump, where="poisoning")


def loss_in_points(seed: int, profile: Profile, attack: str) -> float:
    """Return how many points of AUROC the liars cost: 100 times the difference of the means."""
    return 100 * (_auroc(seed, profile, "") - _auroc(seed, profile, attack))


@lru_cache(maxsize=256)
def _auroc(seed: int, profile: Profile, attack: str) -> float:
    there = federation(seed)
    learner, meta = _train(there, profile, attack)
    return float(np.nanmean(adaptation_curves(Tunable(learner, meta), there.test, [K])))


def _train(there: Federation, profile: Profile, attack: str) -> tuple[Learner, Params]:
    """Return what is learned; a run that the liars have stopped has learned what it had till then.

    What is not finite is no model: hospitals would go on with what they began with.
    """
    study = there.studies[profile]
    learner = make_learner(study, seed=there.seed)
    asking = Poisoned(there, study, _fleet(there, study, learner, flipped=attack == "label-flip"))
    ask = asking.asking(LIES.get(attack))
    last = Last()
    try:
        options = RunOptions(folder=None, seed=there.seed)
        state = run_study(
            study, learner, lambda: Assembled(list(there.tasks), last.watch(ask)), options
        )
        meta: Tensor | None = state.meta
    except QuorumNotReached:
        meta = last.meta
    if meta is None or not torch.isfinite(meta).all():
        return learner, learner.initial
    return learner, unflatten(meta, learner.initial)


@dataclass
class Last:
    """The initialization that was asked about last."""

    meta: Tensor | None = None

    def watch(self, ask: Ask) -> Ask:
        """Return the same way to ask, remembering what was asked about."""

        def watched(state: ServerState, cohort: Sequence[str]) -> Answers:
            self.meta = state.meta
            return ask(state, cohort)

        return watched


def _fleet(there: Federation, study: Study, learner: Learner, *, flipped: bool) -> Fleet:
    sites = []
    for number, (name, tasks) in enumerate(there.tasks.items()):
        lies = flipped and number < there.liars
        own = [Task(t.name, t.x, 1 - t.y, t.patient) for t in tasks] if lies else tasks
        sites.append(with_slots(Site(name, derived_key(there.seed, "site", name), own), study))
    return Fleet(learner, sites, np.ones(len(sites)), study.server.max_update_norm, study)


@dataclass(frozen=True)
class Poisoned:
    """A federation's rounds in which the first hospitals lie."""

    there: Federation
    study: Study
    fleet: Fleet

    def asking(self, lie: Lie | None) -> Ask:
        """Return the way to ask."""
        before: list[Tensor] = []

        def ask(state: ServerState, cohort: Sequence[str]) -> Answers:
            honest = torch.cat(list(self._honest(state)))
            last = before[-1] - state.meta if before else torch.zeros_like(state.meta)
            before.append(state.meta)
            f = self.there.liars if lie else 0
            if lie:
                noise = public_noise(self.study, [cohort[0]]) if self._noisy else None
                rng = generator(self.there.seed, "lies", state.round_index)
                honest[:f] = lie(Scene(honest[:f], honest[f:], last, noise, rng))
            return self._taken(dict(zip(self.there.tasks, honest, strict=True)), state)

        return ask

    @property
    def _noisy(self) -> bool:
        return self.study.privacy.noise_multiplier > 0

    def _honest(self, state: ServerState) -> Iterator[Tensor]:
        for start in range(0, len(self.fleet.sites), CHUNK):
            chunk = np.arange(start, min(start + CHUNK, len(self.fleet.sites)))
            yield self.fleet.updates(state.meta, state.round_index + 1, chunk)

    def _taken(self, sent: Mapping[str, Tensor], state: ServerState) -> Answers:
        """Return what the server takes of it: of masked updates it can look at the sum alone."""
        dim, most = state.meta.numel(), self.study.server.max_update_norm
        if self.study.privacy.profile == "masked":
            total = torch.stack(list(sent.values())).double().sum(0)
            if not total.norm() <= most * len(sent):
                return Answers(nothing(dim), (), dict.fromkeys(sent, "implausible-sum"))
            rounded = torch.from_numpy(on_grid(total.numpy())).float() / len(sent)
            return Answers(weighted_sum([(1.0, rounded)], dim), tuple(sent), {})
        good = {name: update for name, update in sent.items() if update.norm() <= most}
        bad = dict.fromkeys(sent.keys() - good.keys(), "invalid")
        if self.study.privacy.aggregation == "mean":
            return Answers(weighted_sum(((1.0, u) for u in good.values()), dim), tuple(good), bad)
        updates, lied = combine(self.study, good, dim)
        return Answers(updates, tuple(good.keys() - lied.keys()), bad | lied)
