"""Virtual sites computed together, in chunks that fit the cache.

A fleet draws, computes and adds up chunk after chunk, with the very functions of `common/` that the
ClientApp calls for its one site; only messages are left out. Memory holds the sites' patients and
one chunk of episodes; the updates of all sites only where they are aggregated robustly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.aggregation import add_weighted, norms
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
from common.study import Study

CHUNK = 32
"""Sites that are computed together; 8 to 64 are within 15 % of each other."""

NOT_FINITE, NO_EPISODE = "error-2 NonFiniteError", "error-2 TableError"
TOO_LARGE = "norm-too-large"
"""Why a site is dropped, in the words that the engines with messages find in its reply."""


class Job(NamedTuple):
    """A worker's part of a round: meta [d] for sites of these numbers."""

    meta: NDArray[np.float32]
    round_index: int
    sites: NDArray[np.int64]


class Part(NamedTuple):
    """What a job gives back: sum of weighted updates [d], of weights; reasons of the dropped.

    single: the updates one by one, where the study's aggregation needs them.
    """

    total: NDArray[np.float64]
    weight: float
    dropped: dict[int, str]
    single: dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Fleet:
    """Virtual sites, opened: what each draws from, in the order of `sites`.

    study: needed for robust aggregation only, which holds all sites' updates at once.
    """

    learner: Learner
    sites: Sequence[Site]
    weights: NDArray[np.float64]
    max_norm: float
    study: Study | None = None

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
        total, weight, single = np.zeros(len(job.meta)), 0.0, dict[int, NDArray[np.float32]]()
        for start in range(0, len(job.sites), CHUNK):
            chunk = job.sites[start : start + CHUNK]
            updates = self.updates(meta, job.round_index, chunk).numpy()
            weights = self.screen(updates, chunk, dropped)
            weight += float(weights.sum())
            if self.learner.privacy.aggregation != "mean":
                usable = weights != 0
                single |= dict(zip(chunk[usable].tolist(), updates[usable], strict=True))
            else:
                self.add(total, updates, weights)
        return Part(total, weight, dropped, single)

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
