"""The vectorized engine: a round of thousands of sites, spread over chunks and processes."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from common.aggregation import WeightedSum, nothing
from server.robust import combine
from server.rounds import Answers, Ask
from server.state import ServerState
from simulation.fleet import CHUNK, NOT_FINITE, Fleet, Job, Part
from simulation.workers import Map, workers

log = logging.getLogger("wardround.vectorized")

JOBS, LONGEST_JOB = 16, 8 * CHUNK
"""A round is cut into so many jobs for workers, of at most so many sites."""

WORTH_S = 0.02
"""Rounds that take less are not spread over processes."""


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
            answers = _answers(fleet, run or partial(map, fleet.part), names, state, cohort)
            if run is None and time.monotonic() - started > WORTH_S:
                run = spread
            return answers

        yield ask


def _answers(
    fleet: Fleet,
    run: Map[Job, Part],
    names: Mapping[str, int],
    state: ServerState,
    cohort: Sequence[str],
) -> Answers:
    """Return the sum over all jobs, in their order."""
    numbers = np.array([names[site] for site in cohort])
    size = min(LONGEST_JOB, CHUNK * math.ceil(len(numbers) / (JOBS * CHUNK)))
    jobs = (
        Job(state.meta.numpy(), state.round_index + 1, numbers[start : start + size])
        for start in range(0, len(numbers), size)
    )
    updates, dropped = nothing(state.meta.numel()), dict[int, str]()
    single: dict[int, NDArray[np.float32]] = {}
    for part in run(jobs):
        updates = updates.plus(WeightedSum(torch.from_numpy(part.total), part.weight))
        dropped |= part.dropped
        single |= part.single
    lied: dict[str, str] = {}
    if fleet.study and fleet.learner.privacy.aggregation != "mean":
        usable = {s: torch.from_numpy(single[names[s]]) for s in cohort if names[s] in single}
        updates, lied = combine(fleet.study, usable, state.meta.numel())
    accepted = tuple(site for site in cohort if names[site] not in dropped and site not in lied)
    if broken := sum(reason == NOT_FINITE for reason in dropped.values()):
        log.warning(
            "the updates of %d sites are NaN or infinite: lower inner_lr or inner_steps", broken
        )
    reasons = {site: dropped[names[site]] for site in cohort if names[site] in dropped}
    return Answers(updates, accepted, reasons | lied)
