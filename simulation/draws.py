"""Which patients of a held-out task are labelled, and which are left to be judged.

Half of the task's patients, both classes in proportion, are the test half: the same for every draw,
every k and every arm. From the other half come the supports: each draw is one order of patients and
its first k are labelled, so that draws are nested in k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.randomness import generator
from simulation.scenarios import HeldOut

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DrawnTask:
    """A held-out task with its test half and `draws` orders of the other half [draws, pool]."""

    held: HeldOut
    test: Rows
    orders: Rows
    per_class: tuple[Rows, Rows]

    @property
    def test_x(self) -> Tensor:
        """The test patients' inputs [n, ...]."""
        return torch.from_numpy(self.held.task.x[self.test])

    @property
    def test_y(self) -> Rows:
        """The test patients' labels [n]."""
        return self.held.task.y[self.test]

    @property
    def pool(self) -> int:
        """How many patients can be labelled."""
        return int(self.orders.shape[1])

    def support(self, k: int) -> tuple[Tensor, Tensor]:
        """Return the first k patients of each draw: x [draws, k, ...], y [draws, k]."""
        return self._take(self.orders[:, :k])

    def balanced_support(self, k: int) -> tuple[Tensor, Tensor]:
        """Return k patients of each class for each draw: x [draws, 2k, ...], y [draws, 2k]."""
        return self._take(np.concatenate([orders[:, :k] for orders in self.per_class], axis=1))

    def _take(self, rows: Rows) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.held.task.x[rows]), torch.from_numpy(self.held.task.y[rows])


def draw(held: HeldOut, *, draws: int, min_per_class: int, seed: int) -> DrawnTask | str:
    """Return the task with its draws, or the reason why it cannot be scored."""
    rng = generator(seed, "evaluation", held.name)
    y = held.task.y
    halves = [np.array_split(rng.permutation(np.flatnonzero(y == c)), 2) for c in (0, 1)]
    fewest = min(len(test) for _, test in halves)
    if fewest < min_per_class:
        return f"{fewest} of the rarer class among test patients, {min_per_class} are needed"
    pool = np.concatenate([rest for rest, _ in halves])
    return DrawnTask(
        held,
        np.sort(np.concatenate([test for _, test in halves])),
        _orders(pool, draws, rng),
        (_orders(halves[0][0], draws, rng), _orders(halves[1][0], draws, rng)),
    )


def _orders(rows: Rows, draws: int, rng: np.random.Generator) -> Rows:
    return rng.permuted(np.tile(rows, (draws, 1)), axis=1)


def draw_some(
    held: Sequence[HeldOut], most: int, draws: int, *, min_per_class: int, seed: int
) -> tuple[list[DrawnTask], dict[str, str]]:
    """Return at most `most` drawn tasks, in the given order, and why the others are none."""
    found: list[DrawnTask] = []
    reasons: dict[str, str] = {}
    for i in generator(seed, "held-out tasks").permutation(len(held)):
        drawn: DrawnTask | str = f"not drawn: {most} tasks are scored"
        if len(found) < most:
            drawn = draw(held[i], draws=draws, min_per_class=min_per_class, seed=seed)
        if isinstance(drawn, DrawnTask):
            found.append(drawn)
        else:
            reasons[held[i].name] = drawn
    order = {h.name: i for i, h in enumerate(held)}
    return sorted(found, key=lambda task: order[task.held.name]), reasons
