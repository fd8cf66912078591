"""The work that all engines of the benchmark do, and how much of it there is.

One federated second-order MAML round: N sites x 8 episodes, support 10, query 15, 32 features,
perceptron 32-64-2, K inner steps; a site's meta-gradient is the mean over its episodes, the server
takes a step of Adam on the mean over sites.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from common.drawing import as_episode
from common.episodes import Episode, Site
from common.learner import Arithmetic, Learner, make_learner
from common.parameters import flatten
from common.patients import tasks_of
from common.randomness import derived_key
from common.study import Study
from server.state import ServerState, first_state
from simulation.datasets import noise
from simulation.draws import DrawnTask, draw
from simulation.fleet import CHUNK, Fleet
from simulation.scenarios import HeldOut

EPISODES, SUPPORT, QUERY, HIDDEN, CLASSES, INNER_LR, META_LR = 8, 10, 15, 64, 2, 0.1, 0.003
MANY_ROUNDS, DISTINCT = 1_000_000, 4
KS, DRAWS = (0, 5, 10, 20, 50, 90), 20


@dataclass(frozen=True, kw_only=True)
class Work:
    """N sites, K inner steps, and the seed of theta and of all draws."""

    sites: int
    inner_steps: int
    seed: int

    @cached_property
    def study(self) -> Study:
        """The study, without a list of sites."""
        dump = noise.study().model_dump(mode="json", by_alias=True)
        dump["algorithm"] = {"name": "maml", "inner_lr": INNER_LR, "inner_steps": self.inner_steps}
        dump["episodes"] = {"support": SUPPORT, "query": QUERY, "meta_batch": EPISODES}
        dump["server"] = {"rounds": MANY_ROUNDS, "meta_lr": META_LR, "deadline_s": 3600}
        return Study.model_validate(dump)

    def learner(self, arithmetic: Arithmetic) -> Learner:
        """Return the study's learner."""
        return make_learner(self.study, seed=self.seed, arithmetic=arithmetic)

    def fleet(self, arithmetic: Arithmetic) -> Fleet:
        """Return the sites, opened."""
        names = [rule.name for rule in self.study.tasks]
        tasks = [tasks_of(table, self.study, names) for table in noise.tables(self.seed)]
        sites = [
            Site(f"site-{i:05d}", derived_key(self.seed, "site", i), tasks[i % len(tasks)])
            for i in range(self.sites)
        ]
        return Fleet(self.learner(arithmetic), sites, np.ones(self.sites), max_norm=1e4)

    def state(self) -> ServerState:
        """Return the state before the first round."""
        return first_state(self.study, self.learner("generic"))

    def chunks(self) -> list[Episode]:
        """Return the N sites' episodes in chunks [<= CHUNK, E, ...], for arithmetic alone.

        Of many sites only the first few chunks are drawn, and then come again and again.
        """
        fleet, found = self.fleet("generic"), list[Episode]()
        starts = range(0, self.sites, CHUNK)
        for start in starts[:DISTINCT]:
            numbers = np.arange(start, min(start + CHUNK, self.sites))
            fleet.draw(numbers, 1)
            drawn = as_episode(fleet.room[1], slice(0, len(numbers)), EPISODES, fleet.like)
            found.append(copied(drawn))
        again = [found[i % DISTINCT] for i in range(len(starts) - 1)]
        left = self.sites - CHUNK * (len(starts) - 1)
        return [*again, first_sites(found[-1], left)]

    def held_out(self) -> list[DrawnTask]:
        """Return a task of each site to judge on: half its patients, and 20 draws from the rest."""
        names = [rule.name for rule in self.study.tasks]
        found = list[DrawnTask]()
        for i in range(self.sites):
            table = noise.tables(self.seed)[i % noise.TABLES]
            task = tasks_of(table, self.study, [names[i % len(names)]])[0]
            drawn = draw(
                HeldOut(f"site-{i:05d}", task), draws=DRAWS, min_per_class=8, seed=self.seed
            )
            assert isinstance(drawn, DrawnTask)  # noqa: S101 (half of 200 are of each class)
            found.append(drawn)
        return found

    @cached_property
    def theta(self) -> Tensor:
        """The first theta [d]."""
        return flatten(self.learner("generic").initial)


def first_sites(episodes: Episode, number: int) -> Episode:
    """Return the episodes of the first sites."""
    return Episode(*(type(side)(*(part[:number] for part in side)) for side in episodes))


def copied(episodes: Episode) -> Episode:
    """Return episodes on memory of their own."""
    return Episode(*(type(side)(*(part.clone() for part in side)) for side in episodes))


def flops(inner_steps: int) -> float:
    """Return the floating-point operations of one site's update in the dual form.

    Products only, a multiplication and an addition counted as two (common/closed_form.py): the
    first layer and its gradient for all rows, the Gram matrices, and per inner step forward and
    back what remains. It is the cheapest way to the exact gradient that is known to us.
    """
    s, q, h, c, f = SUPPORT, QUERY, HIDDEN, CLASSES, noise.FEATURES
    layer = 2 * (s + q) * f * h
    gram = (s * s + q * s) * f
    step, query = 3 * s * h * c, 3 * q * h * c
    back = 6 * s * h * c
    moves = 2 * max(inner_steps - 1, 0) * s * s * h + 2 * q * s * h
    return 2.0 * EPISODES * (layer + gram + inner_steps * (step + back) + query + moves)


def peak_flops(seconds: float = 0.5) -> float:
    """Return the FLOP/s of one thread on batched products of the work's own size, measured now."""
    import time

    rows = torch.randn(CHUNK, EPISODES * (SUPPORT + QUERY), noise.FEATURES)
    weights, count = torch.randn(noise.FEATURES, HIDDEN), 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        torch.matmul(rows, weights)
        count += 1
    return 2.0 * rows.numel() * HIDDEN * count / spent
