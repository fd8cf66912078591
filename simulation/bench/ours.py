"""Our own engine as a contestant: arithmetic alone, whole rounds, and judging."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.learner import Arithmetic
from common.personal.tunable import Tunable
from server.rounds import RoundEngine
from server.state import RoundRecord, ServerState
from simulation.bench.work import KS, Work
from simulation.evaluation import adaptation_curves
from simulation.fleet import Fleet, Job, Part
from simulation.vectorized import asking


@dataclass(frozen=True)
class Repetition:
    """One repetition over all sites; split: CPU seconds by stage of all repetitions so far."""

    run: Callable[[], object]
    split: dict[str, float] = field(default_factory=dict)


@contextmanager
def ours_alone(arithmetic: Arithmetic, work: Work) -> Iterator[Repetition]:
    """Run the learner's arithmetic as the vectorized engine calls it."""
    learner, chunks, theta = work.learner(arithmetic), work.chunks(), work.theta

    def run() -> None:
        for episodes in chunks:
            learner.updates(theta, episodes, round_index=1)

    yield Repetition(run)


@dataclass(frozen=True)
class TimedFleet(Fleet):
    """A fleet that notes the CPU time that its stages take."""

    split: dict[str, float] = field(default_factory=dict)

    def part(self, job: Job) -> Part:
        """Note what is left of the whole as `aggregate`."""
        before = sum(self.split.values())
        started = time.process_time()
        result = super().part(job)
        whole = time.process_time() - started
        self._note("aggregate", whole - (sum(self.split.values()) - before))
        return result

    def draw(self, chunk: NDArray[np.int64], round_index: int) -> None:
        """Note `draw`."""
        started = time.process_time()
        super().draw(chunk, round_index)
        self._note("draw", time.process_time() - started)

    def compute(self, meta: Tensor, round_index: int, chunk: NDArray[np.int64]) -> Tensor:
        """Note `compute`."""
        started = time.process_time()
        result = super().compute(meta, round_index, chunk)
        self._note("compute", time.process_time() - started)
        return result

    def _note(self, stage: str, seconds: float) -> None:
        self.split[stage] = self.split.get(stage, 0.0) + seconds


@contextmanager
def our_rounds(arithmetic: Arithmetic, workers: int, work: Work) -> Iterator[Repetition]:
    """Run whole rounds of the vectorized engine; nothing is saved, as with the others."""
    plain = work.fleet(arithmetic)
    fleet = TimedFleet(plain.learner, plain.sites, plain.weights, plain.max_norm)
    with asking(fleet, workers) as ask:
        names = [site.name for site in fleet.sites]
        engine = RoundEngine(work.study, names, ask, work.seed, _keep_nothing)
        states = [work.state()]

        def run() -> None:
            states[:] = [engine.round(states[0])]

        yield Repetition(run, fleet.split)


def _keep_nothing(state: ServerState, record: RoundRecord) -> None:
    """Save nothing."""


@contextmanager
def our_curves(arithmetic: Literal["generic", "reference"], work: Work) -> Iterator[Repetition]:
    """Run the adaptation curves of one task of each site, K inner steps, on one process."""
    learner = work.learner("generic")
    start = Tunable(learner, learner.initial, arithmetic=arithmetic)
    tasks = work.held_out()
    yield Repetition(lambda: adaptation_curves(start, tasks, KS))
