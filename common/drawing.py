"""Drawing and packing a round's episodes: from a site's tasks to arrays, for one site or for many.

The ClientApp draws for its one site, a simulation for a chunk of sites; both call these functions.
They are compiled where numba is installed: at thousands of sites drawing would else cost more than
the arithmetic.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common.episodes import Episode, EpisodePlan, Rows, Task
from common.errors import SettingsError, TableError
from common.jit import jit
from common.randomness import Stream, below

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Floats = NDArray[np.float32]


class SiteTable(NamedTuple):
    """A site's T tasks, their R rows behind each other.

    x [n, inputs] holds each row of inputs once, flattened; row r of the tasks is x[at[r]].
    y [R, targets]; patient [R]; stratum [R] is the row's class, 0..classes[t] - 1, and 0 where y is
    no class. Task t has the rows start[t] to start[t + 1].
    """

    x: Floats
    at: Small
    y: NDArray[np.generic]
    patient: Small
    stratum: Small
    start: Small
    classes: Small


class Picked(NamedTuple):
    """Which rows were drawn for one site: support [E, S], query [E, Q], sizes [E, 2] of them."""

    support: Small
    query: Small
    sizes: Small


class Packed(NamedTuple):
    """Episodes of B sites as arrays; `counts` [B] is how many episodes each site has."""

    support: tuple[NDArray[np.generic], ...]  # x [B, E, S, inputs], y [B, E, S, targets], weight
    query: tuple[NDArray[np.generic], ...]
    counts: Ints


def site_table(tasks: Sequence[Task]) -> SiteTable:
    """Return the tasks as one table. Tasks whose x is the same array share its memory."""
    distinct = {id(t.x): t.x for t in tasks}
    first = dict(zip(distinct, np.cumsum([0, *map(len, distinct.values())]), strict=False))
    flat = [_flat(x) for x in distinct.values()]
    strata = [_strata(t.y) for t in tasks]
    return SiteTable(
        x=np.ascontiguousarray(flat[0] if len(flat) == 1 else np.concatenate(flat)),
        at=_joined([first[id(t.x)] + np.arange(len(t.x)) for t in tasks]),
        y=np.concatenate([_flat(t.y) for t in tasks]),
        patient=_joined([t.patient for t in tasks]),
        stratum=_joined(strata),
        start=np.cumsum([0, *(len(t.y) for t in tasks)]).astype(np.int32),
        classes=np.array([max(1, s.max(initial=0) + 1) for s in strata], dtype=np.int32),
    )


def _flat(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows [n, ...] as [n, entries]."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


def _joined(parts: Sequence[Ints]) -> Small:
    return np.concatenate(parts).astype(np.int32)


def _strata(y: NDArray[np.generic]) -> Ints:
    """Return each row's class as 0, 1, ...; targets that are no classes are one stratum."""
    if y.ndim > 1 or not np.issubdtype(y.dtype, np.integer):
        return np.zeros(len(y), dtype=np.int64)
    classes: Ints = np.unique(y, return_inverse=True)[1]
    return classes


def check_plan(table: SiteTable, tasks: Sequence[Task], plan: EpisodePlan) -> None:
    """Refuse a balanced plan whose sets cannot hold every class of a task."""
    for task, classes in zip(tasks, table.classes, strict=True):
        if plan.prevalence == "balanced" and min(plan.support, plan.query) < classes:
            raise SettingsError(
                f"{plan.support} + {plan.query} rows cannot hold {classes} classes in balance",
                where=f"task {task.name}",
                remedy="enlarge support and query to the number of classes, or draw naturally",
            )


def no_episode(tasks: int) -> TableError:
    """Return the error of a site from which not one episode can be drawn."""
    return TableError(
        f"no episode can be drawn from {tasks} task(s)",
        where="the site's patients",
        remedy="add patients or tasks, or ask for smaller support and query sets",
    )


def room_for_picked(plan: EpisodePlan) -> Picked:
    """Return arrays for the rows of one site."""
    e = plan.meta_batch
    sizes = ((e, plan.support), (e, plan.query), (e, 2))
    return Picked(*(np.zeros(size, dtype=np.int32) for size in sizes))


def room_for_packed(sites: int, plan: EpisodePlan, table: SiteTable) -> Packed:
    """Return arrays for the episodes of so many sites whose rows are like the table's."""

    def side(rows: int) -> tuple[NDArray[np.generic], ...]:
        shape = (sites, plan.meta_batch, rows)
        return (
            np.zeros((*shape, table.x.shape[1]), dtype=np.float32),
            np.zeros((*shape, table.y.shape[1]), dtype=table.y.dtype),
            np.zeros(shape, dtype=np.float32),
        )

    return Packed(side(plan.support), side(plan.query), np.zeros(sites, dtype=np.int64))


def draw_episodes(tasks: Sequence[Task], plan: EpisodePlan, stream: Stream) -> Episode:
    """Return up to `plan.meta_batch` episodes, stacked: support.x is [E, support, features].

    Tasks take turns in random order; each episode takes patients that no earlier one has. When the
    site's patients run out there are fewer episodes; a short episode is padded with weight 0.

    Raises:
        TableError: not one episode could be drawn.
        SettingsError: a balanced plan has fewer rows than a task has classes.
    """
    if not tasks:
        raise no_episode(0)
    table = site_table(tasks)
    check_plan(table, tasks, plan)
    picked, packed = room_for_picked(plan), room_for_packed(1, plan, table)
    count = pick(table, plan.prevalence == "balanced", stream, picked)
    if not count:
        raise no_episode(len(tasks))
    pack(table, picked, count, packed, 0)
    drawn = as_episode(packed, slice(0, 1), count, tasks[0])
    return Episode(*(Rows(*(part[0] for part in side)) for side in drawn))


def as_episode(packed: Packed, sites: slice, count: int, like: Task) -> Episode:
    """Return `count` episodes of each of the sites as tensors on the same memory, [B, E, ...].

    Rows get the shape that they have in the task.
    """

    def rows(side: tuple[NDArray[np.generic], ...]) -> Rows:
        x, y, weight = (torch.from_numpy(part[sites, :count]) for part in side)
        lead = weight.shape
        return Rows(
            x.reshape(*lead, *like.x.shape[1:]), y.reshape(*lead, *like.y.shape[1:]), weight
        )

    return Episode(rows(packed.support), rows(packed.query))


@jit
def pick(table: SiteTable, balanced: bool, stream: Stream, picked: Picked) -> int:
    """Draw a site's rows of a round into `picked`; return the number of episodes."""
    tasks, episodes = len(table.classes), len(picked.sizes)
    used = np.zeros(table.patient.max() + 1 if len(table.patient) else 0, dtype=np.bool_)
    free = np.empty(len(table.patient), dtype=np.int32)
    able, order = np.ones(tasks, dtype=np.bool_), np.empty(tasks, dtype=np.int32)
    waiting = count = 0
    while count < episodes:
        if waiting == 0:
            waiting = _take_turns(able, order, stream)
        if waiting == 0:
            break
        waiting -= 1
        t = order[waiting]
        if able[t] and _pick_one(table, t, balanced, stream, used, free, picked, count):
            count += 1
        else:
            able[t] = False  # patients are only ever used up, so it stays out
    return count


@jit
def _take_turns(able: NDArray[np.bool_], order: Small, stream: Stream) -> int:
    """Set the first entries of `order` to the able tasks in random order; return how many."""
    n = 0
    for t in range(len(able)):
        if able[t]:
            order[n] = t
            n += 1
    _shuffle(order, n, n, stream)
    return n


@jit
def _shuffle(values: Small, n: int, wanted: int, stream: Stream) -> None:
    """Make the first `wanted` of n values a random choice in random order (Fisher, Yates)."""
    for i in range(min(wanted, n - 1)):
        j = i + below(stream, n - i)
        values[i], values[j] = values[j], values[i]


@jit
def _pick_one(
    table: SiteTable,
    t: int,
    balanced: bool,
    stream: Stream,
    used: NDArray[np.bool_],
    free: Small,
    picked: Picked,
    e: int,
) -> bool:
    """Draw episode e from task t, class by class if balanced; False if a class has run out."""
    strata = table.classes[t] if balanced else 1
    s = q = 0
    for stratum in range(strata):
        n = _free_rows(table, t, stratum if balanced else -1, used, free)
        # The classes share support and query equally; the last ones take what does not divide.
        support = (picked.support.shape[1] + stratum) // strata
        query = (picked.query.shape[1] + stratum) // strata
        if n < support + query:  # too few are shared in proportion, one at least for each set
            share = (2 * n * support + support + query) // (2 * (support + query))
            support = min(max(1, share), max(0, n - 1))
            query = n - support
        if support == 0 or query == 0:
            return False
        _shuffle(free, n, support + query, stream)
        picked.support[e, s : s + support] = free[:support]
        picked.query[e, q : q + query] = free[support : support + query]
        s, q = s + support, q + query
    for i in range(s):
        used[table.patient[picked.support[e, i]]] = True
    for i in range(q):
        used[table.patient[picked.query[e, i]]] = True
    picked.sizes[e, 0], picked.sizes[e, 1] = s, q
    return True


@jit
def _free_rows(table: SiteTable, t: int, stratum: int, used: NDArray[np.bool_], free: Small) -> int:
    """Set the first entries of `free` to task t's rows that may be drawn; return how many."""
    n = 0
    for r in range(table.start[t], table.start[t + 1]):
        if not used[table.patient[r]] and (stratum < 0 or table.stratum[r] == stratum):
            free[n] = r
            n += 1
    return n


@jit
def pack(table: SiteTable, picked: Picked, count: int, packed: Packed, b: int) -> None:
    """Write the rows picked for a site as site b of the packed arrays."""
    packed.counts[b] = count
    for e in range(count):
        _pack_rows(table, picked.support[e], picked.sizes[e, 0], packed.support, b, e)
        _pack_rows(table, picked.query[e], picked.sizes[e, 1], packed.query, b, e)


@jit
def _pack_rows(
    table: SiteTable,
    rows: Small,
    size: int,
    side: tuple[NDArray[np.generic], ...],
    b: int,
    e: int,
) -> None:
    x, y, weight = side[0][b, e], side[1][b, e], side[2][b, e]
    inputs, targets = x.shape[1], y.shape[1]
    for i in range(size):
        row, source = rows[i], table.at[rows[i]]
        for k in range(inputs):
            x[i, k] = table.x[source, k]
        for k in range(targets):
            y[i, k] = table.y[row, k]
        weight[i] = 1
    # The arrays are used again and again, so padding is written too.
    x[size:], y[size:], weight[size:] = 0, 0, 0
