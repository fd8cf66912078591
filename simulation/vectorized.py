"""The vectorized engine: a round of thousands of sites in chunks that fit the cache.

It draws, computes and adds up chunk after chunk, with the very functions of `common/` that
the ClientApp calls for its one site; only messages are left out. Memory holds the sites' patients
and one chunk of episodes for each worker, never the updates of all sites.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.aggregation import WeightedSum, add_weighted, norms, nothing
from common.crypto import ByteStream
from common.drawing import (
    as_episode,
    check_plan,
    ready_to_draw,
    room_for_packed,
    room_for_picked,
    site_table,
)
from common.episodes import Episode, Rows, Site, Task
from common.learner import Learner
from common.parameters import flatten
from common.picking import Packed, Picked, SiteTable
from common.privacy.mechanism import on_grid
from common.randomness import Stream, release_key, stream_key
from common.slots import SlottedSite
from server.rounds import Answers, Ask
from server.state import ServerState
from simulation.workers import Map, workers

log = logging.getLogger("wardround.vectorized")

CHUNK = 32
"""Sites that are computed together; 8 to 64 are within 15 % of each other."""
JOBS, LONGEST_JOB = 16, 8 * CHUNK
"""A round is cut into so many jobs for workers, of at most so many sites."""

WORTH_S = 0.02
"""Rounds that take less are not spread over processes."""

NOT_FINITE, NO_EPISODE = "error-2 NonFiniteError", "error-2 TableError"
TOO_LARGE = "norm-too-large"
"""Why a site is dropped, in the words that the engines with messages find in its reply."""


class Job(NamedTuple):
    """A worker's part of a round: meta [d] for sites of these numbers."""

    meta: NDArray[np.float32]
    round_index: int
    sites: NDArray[np.int64]


class Part(NamedTuple):
    """What a job gives back: sum of weighted updates [d], of weights; reasons of the dropped."""

    total: NDArray[np.float64]
    weight: float
    dropped: dict[int, str]


@dataclass(frozen=True)
class Fleet:
    """Virtual sites, opened: what each draws from, in the order of `sites`."""

    learner: Learner
    sites: Sequence[Site]
    weights: NDArray[np.float64]
    max_norm: float

    @cached_property
    def tables(self) -> list[SiteTable]:
        """Each site's tasks as arrays; sites that hold the same list of tasks share them."""
        distinct = {id(site.tasks): site.tasks for site in self.sites}
        made = {key: site_table(tasks) for key, tasks in distinct.items()}
        tables = [made[id(site.tasks)] for site in self.sites]
        for site, table in zip(self.sites, tables, strict=True):
            check_plan(table, site.tasks, self.learner.plan)
        return tables

    @cached_property
    def slotted(self) -> list[SlottedSite]:
        """Each site's patients by slot, where groups of them are drawn."""
        return [self.learner.slotted(site) for site in self.sites]

    @cached_property
    def keys(self) -> list[Stream]:
        """Each site's key of its draws, one stream a round."""
        return [stream_key(site.key, "episodes") for site in self.sites]

    @cached_property
    def room(self) -> tuple[Picked, Packed]:
        """The memory of one site's rows and of one chunk's episodes, used again and again."""
        plan = self.learner.plan
        return room_for_picked(plan), room_for_packed(CHUNK, plan, self.tables[0])

    @cached_property
    def draw_site(self) -> Callable[..., None]:
        """How to draw one site's episodes into the chunk's."""
        return ready_to_draw(self.tables, *self.room)

    def warm_up(self) -> None:
        """Open the sites, and compile what is compiled: the first chunk's updates, thrown away."""
        first = np.arange(min(CHUNK, len(self.sites)))
        self.part(Job(flatten(self.learner.initial).numpy(), 1, first))

    @property
    def like(self) -> Task:
        """A task whose rows have the shape that all have."""
        return self.sites[0].tasks[0]

    def part(self, job: Job) -> Part:
        """Return the sum of the job's updates, chunk after chunk."""
        meta, dropped = torch.from_numpy(job.meta), dict[int, str]()
        total, weight = np.zeros(len(job.meta)), 0.0
        for start in range(0, len(job.sites), CHUNK):
            chunk = job.sites[start : start + CHUNK]
            updates = self.updates(meta, job.round_index, chunk).numpy()
            weights = self.screen(updates, chunk, dropped)
            self.add(total, updates, weights)
            weight += float(weights.sum())
        return Part(total, weight, dropped)

    def add(
        self,
        total: NDArray[np.float64],
        updates: NDArray[np.float32],
        weights: NDArray[np.float64],
    ) -> None:
        """Add the weighted updates [b, d] to total [d]; bit for bit what masked sums come to."""
        if self.learner.privacy.profile == "masked":
            total += on_grid(updates[weights != 0] * weights[weights != 0, None]).sum(axis=0)
        else:
            add_weighted(total, updates, weights)

    def updates(self, meta: Tensor, round_index: int, chunk: NDArray[np.int64]) -> Tensor:
        """Return the updates [b, d] of the chunk's sites, as they would be sent."""
        if self.learner.mechanism is not None:
            self.room[1].counts[: len(chunk)] = 1  # noise is an update too
            sites = [self.slotted[number] for number in chunk.tolist()]
            keys = [self.sites[number].key for number in chunk.tolist()]
            streams = [ByteStream(release_key(key, round_index)) for key in keys]
            return self.learner.private_updates(meta, sites, streams, round_index=round_index)
        self.draw(chunk, round_index)
        return self.compute(meta, round_index, chunk)

    def draw(self, chunk: NDArray[np.int64], round_index: int) -> None:
        """Draw the chunk's episodes."""
        tables, keys, draw, (picked, packed) = self.tables, self.keys, self.draw_site, self.room
        balanced = self.learner.plan.prevalence == "balanced"
        for i, number in enumerate(chunk.tolist()):
            draw(tables[number], balanced, keys[number], round_index, picked, packed, i)

    def compute(self, meta: Tensor, round_index: int, chunk: NDArray[np.int64]) -> Tensor:
        """Return the updates [b, d] of the chunk's sites; zeros of those without an episode."""
        counts = self.room[1].counts[: len(chunk)]
        distinct = np.unique(counts).tolist()
        if len(distinct) == 1 and distinct[0] > 0:
            updates = self._alike(meta, round_index, chunk, distinct[0])
        else:  # sites of equally many episodes are computed together
            updates = torch.zeros(len(chunk), len(meta))
            for count in (c for c in distinct if c > 0):
                (rows,) = np.nonzero(counts == count)
                updates[rows] = self._alike(meta, round_index, chunk, count, rows)
        return updates

    def _alike(
        self,
        meta: Tensor,
        round_index: int,
        chunk: NDArray[np.int64],
        count: int,
        rows: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Return the updates of the chunk's sites, or of these rows, of `count` episodes each."""
        episodes = as_episode(self.room[1], slice(0, len(chunk)), count, self.like)
        if rows is not None:
            episodes = _take(episodes, torch.from_numpy(rows))
        return self.learner.updates(meta, episodes, round_index=round_index)

    def screen(
        self, updates: NDArray[np.float32], chunk: NDArray[np.int64], dropped: dict[int, str]
    ) -> NDArray[np.float64]:
        """Return each update's weight: 0 for those that no server would take, with the reason."""
        count = self.room[1].counts[: len(chunk)]
        norm = norms(updates)
        weights = self.weights[chunk]
        for bad, reason in (
            (norm > self.max_norm, TOO_LARGE),
            (~np.isfinite(norm), NOT_FINITE),
            (count == 0, NO_EPISODE),
        ):
            dropped |= dict.fromkeys(chunk[bad].tolist(), reason)
            weights[bad] = 0
        return weights


def _take(episodes: Episode, rows: Tensor) -> Episode:
    return Episode(*(Rows(*(part[rows] for part in side)) for side in episodes))


@contextmanager
def asking(
    fleet: Fleet, number: int, on_round: Callable[[int], None] = lambda round_index: None
) -> Iterator[Ask]:
    """Yield the way to ask the fleet, computed by `number` processes while the block lasts.

    Rounds are computed here until one takes longer than WORTH_S, all after it by the processes:
    before that, handing jobs over would take longer. Where it is computed changes no result.
    """
    names = {site.name: i for i, site in enumerate(fleet.sites)}
    fleet.warm_up()  # before the workers are forked, so that it is done once
    with workers(fleet.part, number) as spread:
        run: Map[Job, Part] | None = None

        def ask(state: ServerState, cohort: Sequence[str]) -> Answers:
            nonlocal run
            on_round(state.round_index + 1)
            started = time.monotonic()
            answers = _answers(run or partial(map, fleet.part), names, state, cohort)
            if run is None and time.monotonic() - started > WORTH_S:
                run = spread
            return answers

        yield ask


def _answers(
    run: Map[Job, Part], names: Mapping[str, int], state: ServerState, cohort: Sequence[str]
) -> Answers:
    """Return the sum over all jobs, in their order."""
    numbers = np.array([names[site] for site in cohort])
    size = min(LONGEST_JOB, CHUNK * math.ceil(len(numbers) / (JOBS * CHUNK)))
    jobs = (
        Job(state.meta.numpy(), state.round_index + 1, numbers[start : start + size])
        for start in range(0, len(numbers), size)
    )
    updates, dropped = nothing(state.meta.numel()), dict[int, str]()
    for part in run(jobs):
        updates = updates.plus(WeightedSum(torch.from_numpy(part.total), part.weight))
        dropped |= part.dropped
    accepted = tuple(site for site in cohort if names[site] not in dropped)
    if broken := sum(reason == NOT_FINITE for reason in dropped.values()):
        log.warning(
            "the updates of %d sites are NaN or infinite: lower inner_lr or inner_steps", broken
        )
    reasons = {site: dropped[names[site]] for site in cohort if names[site] in dropped}
    return Answers(updates, accepted, reasons)
