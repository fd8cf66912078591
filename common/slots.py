"""A site's patients by slot, and the episodes that groups of slots make.

A patient occupies exactly one slot, for the whole study; a slot without a patient is absent. A
group that holds an absent slot contributes nothing: so taking one patient away changes the sum by
at most one group's update. In a group the first slots are the support, the others the query. A
patient whose label for the group's task is unknown has weight 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common.drawing import site_table
from common.episodes import Episode, Rows, Site, Task
from common.picking import AT, PATIENT, START, SiteTable
from common.privacy.groups import Drawn, Grouping
from common.study import Study

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SlottedSite:
    """row_of [tasks, slots]: which row of the table is a slot's in a task, -1 if there is none.

    like: a task whose rows have the shape that all have.
    """

    table: SiteTable
    row_of: Ints
    grouping: Grouping
    like: Task

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Whether a slot holds a patient, [slots]."""
        return np.asarray((self.row_of >= 0).any(axis=0))


class Gathered(NamedTuple):
    """Episodes [N, ...] of the groups that contribute; owner [N]: the number of each one's site."""

    episodes: Episode
    owner: Ints


def with_slots(site: Site, study: Study) -> Site:
    """Return a virtual site as the study's mechanism needs it: its patients in slots 0, 1, ...

    As many slots as the study declares for it, else as many as there are patients. Patients beyond
    them idle.
    """
    if not study.privacy.noise_multiplier:
        return site
    known = np.unique(np.concatenate([task.patient for task in site.tasks]))
    declared = next((s.patients for s in study.sites if s.name == site.name), 0)
    slots = declared or len(known)
    return replace(site, tasks=[_in_slots(t, known[:slots]) for t in site.tasks], slots=slots)


def _in_slots(task: Task, known: Ints) -> Task:
    rows = np.isin(task.patient, known)
    slot = np.searchsorted(known, task.patient[rows])
    return Task(task.name, task.x[rows], task.y[rows], slot)


def slotted(site: Site, *, size: int, coin: float) -> SlottedSite:
    """Return the site by slot, in groups of `size`; `Task.patient` is the slot.

    Raises:
        SettingsError: the site has declared too few patients for one group.
    """
    grouping = Grouping(slots=site.slots, size=size, coin=coin, tasks=len(site.tasks))
    table = site_table(site.tasks)
    row_of = np.full((len(site.tasks), site.slots), -1)
    for t in range(len(site.tasks)):
        rows = np.arange(table.bounds[START, t], table.bounds[START, t + 1])
        row_of[t, table.rows[PATIENT, rows]] = rows
    return SlottedSite(table, row_of, grouping, site.tasks[0])


def gather(sites: Sequence[SlottedSite], drawn: Sequence[Drawn], *, support: int) -> Gathered:
    """Return the episodes of all groups that have no absent slot and a row in both sets."""
    parts = [_rows(site, groups, support) for site, groups in zip(sites, drawn, strict=True)]
    x, y, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    owner = np.repeat(np.arange(len(sites)), [len(part[0]) for part in parts])
    like = sites[0].like
    shape = weight.shape
    rows = Rows(
        torch.from_numpy(x.reshape(*shape, *like.x.shape[1:])),
        torch.from_numpy(y.reshape(*shape, *like.y.shape[1:])),
        torch.from_numpy(weight),
    )
    sides = (Rows(*(part[:, s] for part in rows)) for s in (slice(support), slice(support, None)))
    return Gathered(Episode(*sides), owner)


def _rows(site: SlottedSite, groups: Drawn, support: int) -> tuple[NDArray[np.generic], ...]:
    """Return x [g, S, inputs], y [g, S, targets], weight [g, S] of the site's usable groups."""
    rows = site.row_of[groups.task[:, None], groups.slots]
    known = rows >= 0
    whole = site.present[groups.slots].all(axis=1)
    usable = whole & known[:, :support].any(axis=1) & known[:, support:].any(axis=1)
    rows, known = rows[usable], known[usable]
    weight = known.astype(np.float32)
    x = site.table.x[site.table.rows[AT, rows]] * weight[..., None]
    return x, site.table.y[rows], weight
