"""Who takes part: each engine of the benchmark as something that runs one repetition.

Arithmetic contestants get drawn and packed episodes and compute the meta-gradients. Round
contestants run whole rounds: draw, compute, aggregate, server step. Evaluation contestants
judge one initialization on a task of each site: its adaptation curve over k and draws.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal

import numpy as np
from torch import Tensor

from common.compilation import has_compiler
from common.drawing import as_episode
from common.episodes import Episode
from common.jit import COMPILED
from common.learner import Arithmetic
from common.parameters import Params, unflatten
from common.reference import maml_updates
from simulation.bench import peers
from simulation.bench.ours import Repetition, our_curves, our_rounds, ours_alone
from simulation.bench.work import EPISODES, INNER_LR, META_LR, Work

Kind = Literal["arithmetic", "round", "evaluation"]


Open = Callable[[Work], AbstractContextManager[Repetition]]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """An engine in one kind of contest.

    missing: why it cannot take part, empty if it can. family: it works in other processes too.
    """

    name: str
    kind: Kind
    open: Open
    missing: Callable[[], str] = lambda: ""
    workers: int = 1
    family: bool = False

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.name} {self.kind} {self.workers}"


@contextmanager
def arithmetic_alone(compute: peers.Arithmetic, work: Work) -> Iterator[Repetition]:
    """Run a peer's arithmetic over chunk after chunk."""
    theta, chunks = unflatten(work.theta, work.learner("generic").initial), work.chunks()

    def run() -> None:
        for episodes in chunks:
            compute(theta, episodes, inner_lr=INNER_LR, inner_steps=work.inner_steps)

    yield Repetition(run)


@contextmanager
def jax_alone(work: Work) -> Iterator[Repetition]:
    """Run JAX; imported here, under the settings that keep it on one thread."""
    peers.set_jax_environment()
    with arithmetic_alone(peers.make_jax(), work) as repetition:
        yield repetition


@contextmanager
def pfl_rounds(compute: peers.Arithmetic, work: Work) -> Iterator[Repetition]:
    """Run whole rounds of Apple's pfl with our draws and the given arithmetic inside."""
    from simulation.bench.pfl_rounds import rounds

    fleet = work.fleet("generic")

    def draw(site: int, round_index: int) -> Episode:
        number = np.array([site])
        fleet.draw(number, round_index)
        return as_episode(fleet.room[1], slice(0, 1), EPISODES, fleet.like)

    settings = {"inner_lr": INNER_LR, "inner_steps": work.inner_steps, "meta_lr": META_LR}
    theta = unflatten(work.theta, fleet.learner.initial)
    one_round = rounds(theta, draw, compute, sites=work.sites, **settings)  # type: ignore[arg-type]
    numbers = iter(range(1, 1_000_000))
    yield Repetition(lambda: one_round(next(numbers)))


def closed_form(theta: Params, episodes: Episode, *, inner_lr: float, inner_steps: int) -> Tensor:
    """Return the meta-gradients [B, d] by our closed form."""
    return maml_updates(theta, episodes, lr=inner_lr, steps=inner_steps, second_order=True)


@contextmanager
def ray_rounds(work: Work) -> Iterator[Repetition]:
    """Run whole rounds of our own apps on Flower's simulation runtime."""
    from simulation.bench.ray_rounds import rounds
    from simulation.source import DEFAULTS, make_plan

    settings = DEFAULTS | {"dataset": "noise", "sites": work.sites, "seed": work.seed}
    names = list(make_plan(settings).split.train)
    assert len(names) == work.sites  # noqa: S101 (what the data set promises)
    dump = work.study.model_dump(mode="json", by_alias=True) | {
        "sites": [{"name": n} for n in names]
    }
    run = rounds(settings, type(work.study).model_validate(dump))
    try:
        yield Repetition(run.next_round)
    finally:
        run.close()


def _without(*libraries: str) -> Callable[[], str]:
    """Return what says which of the libraries is not installed."""

    def missing() -> str:
        absent = [name for name in libraries if find_spec(name) is None]
        return f"{absent[0]} is not installed" if absent else ""

    return missing


def _no_compiler() -> str:
    return "" if has_compiler() else "there is no C++ compiler"


def _no_numba() -> str:
    return "" if COMPILED else "numba is not installed"


OURS: tuple[tuple[str, Arithmetic, Callable[[], str]], ...] = (
    ("ours-generic", "generic", lambda: ""),
    ("ours-compiled", "compiled", _no_compiler),
    ("ours-reference", "reference", _no_numba),
)


def contestants() -> list[Contestant]:
    """Return all, in each kind peers first."""
    return [*_arithmetic(), *_whole_rounds(len(os.sched_getaffinity(0))), *_judges()]


def _arithmetic() -> Iterator[Contestant]:
    """Yield what computes meta-gradients of episodes that are given."""
    alone = partial(Contestant, kind="arithmetic")
    loop, higher = (partial(arithmetic_alone, f) for f in (peers.torch_loop, peers.higher_loop))
    yield alone(name="torch-loop", open=loop)
    yield alone(name="higher", open=higher, missing=_without("higher"))
    yield alone(name="jax", open=jax_alone, missing=_without("jax"))
    for name, arithmetic, missing in OURS:
        yield alone(name=name, open=partial(ours_alone, arithmetic), missing=missing)


def _whole_rounds(cores: int) -> Iterator[Contestant]:
    """Yield what runs whole rounds: with a process for each core, then with one."""
    whole, no_pfl = partial(Contestant, kind="round"), _without("pfl")
    several = partial(whole, workers=cores, family=True)
    yield several(name="flower-ray", open=ray_rounds, missing=_without("ray"))
    for name, arithmetic, missing in OURS if cores > 1 else ():
        yield several(name=name, open=partial(our_rounds, arithmetic, cores), missing=missing)
    yield whole(name="pfl-loop", open=partial(pfl_rounds, peers.torch_loop), missing=no_pfl)
    yield whole(name="pfl-ours", open=partial(pfl_rounds, closed_form), missing=no_pfl)
    for name, arithmetic, missing in OURS:
        yield whole(name=name, open=partial(our_rounds, arithmetic, 1), missing=missing)


def _judges() -> Iterator[Contestant]:
    """Yield what judges an initialization."""
    judge = partial(Contestant, kind="evaluation")
    generic, reference = partial(our_curves, "generic"), partial(our_curves, "reference")
    yield judge(name="ours-generic", open=generic)
    yield judge(name="ours-reference", open=reference, missing=_no_numba)
