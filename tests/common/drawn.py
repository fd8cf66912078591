"""Who stands in the episodes of a round: every value in x is the patient's index."""

import numpy as np

from common.episodes import Episode, Rows, Task


def patients(rows: Rows, episode: int) -> list[int]:
    """Return who stands in the rows of one episode: in x every value is the patient's index."""
    here = rows.weight[episode] == 1
    return [int(value) for value in rows.x[episode, here, 0]]


def everyone(episodes: Episode) -> list[int]:
    """Return the patients of all episodes, each as often as it stands there."""
    count = len(episodes.support.weight)
    return [who for e in range(count) for side in episodes for who in patients(side, e)]


def positives(rows: Rows) -> list[int]:
    """Return how many rows of each episode are of class 1."""
    return [int(n) for n in (rows.y * rows.weight).sum(1)]


def task_of(first: int, labels: list[int]) -> Task:
    patient = np.arange(first, first + len(labels), dtype=np.int64)
    x = patient.astype(np.float32)[:, None]
    return Task(f"from{first}", x, np.array(labels, dtype=np.int64), patient)
