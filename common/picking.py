"""The compiled part of drawing: which rows a site's episodes take, and gathering them.

A site's patients are used up as episodes take them: none stands in two episodes of a round.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.jit import jit
from common.randomness import Stream, below, open_stream

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Floats = NDArray[np.float32]


class SiteTable(NamedTuple):
    """A site's T tasks, their R rows behind each other, in few arrays: each costs at every call.

    x [n, inputs] holds each row of inputs once, flattened. y [R, targets]. rows [3, R]: which row
    of x it is (AT), whose (PATIENT), and its class in its task, from 0 on, or 0 where y is no class
    (STRATUM). bounds [2, T + 1]: where each task's rows start (START), and its number of classes
    (CLASSES).
    """

    x: Floats
    y: NDArray[np.generic]
    rows: Small
    bounds: Small


AT, PATIENT, STRATUM = 0, 1, 2
START, CLASSES = 0, 1


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


@jit
def draw_site(
    table: SiteTable,
    balanced: bool,
    key: Stream,
    round_index: int,
    picked: Picked,
    packed: Packed,
    b: int,
) -> None:
    """Draw a site's episodes of a round, and write them as site b of the packed arrays."""
    pack(table, picked, pick(table, balanced, open_stream(key, round_index), picked), packed, b)


@jit
def pick(table: SiteTable, balanced: bool, stream: Stream, picked: Picked) -> int:
    """Draw a site's rows of a round into `picked`; return the number of episodes."""
    tasks, episodes, n = table.bounds.shape[1] - 1, len(picked.sizes), table.rows.shape[1]
    used = np.zeros(1 + (table.rows[PATIENT].max() if n else 0), dtype=np.bool_)
    free = np.empty(n, dtype=np.int32)
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
    strata = table.bounds[CLASSES, t] if balanced else 1
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
        used[table.rows[PATIENT, picked.support[e, i]]] = True
    for i in range(q):
        used[table.rows[PATIENT, picked.query[e, i]]] = True
    picked.sizes[e, 0], picked.sizes[e, 1] = s, q
    return True


@jit
def _free_rows(table: SiteTable, t: int, stratum: int, used: NDArray[np.bool_], free: Small) -> int:
    """Set the first entries of `free` to task t's rows that may be drawn; return how many."""
    n = 0
    for r in range(table.bounds[START, t], table.bounds[START, t + 1]):
        allowed = stratum < 0 or table.rows[STRATUM, r] == stratum
        free[n] = r  # written over unless counted: nothing to guess for the processor
        n += allowed and not used[table.rows[PATIENT, r]]
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
        row, source = rows[i], table.rows[AT, rows[i]]
        for k in range(inputs):
            x[i, k] = table.x[source, k]
        for k in range(targets):
            y[i, k] = table.y[row, k]
        weight[i] = 1
    # The arrays are used again and again, so padding is written too.
    x[size:], y[size:], weight[size:] = 0, 0, 0
