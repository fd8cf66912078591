"""Meta-training of virtual sites on an engine: what differs is how a round's sites are asked.

    vectorized   chunk after chunk in this process and its workers (simulation/vectorized.py)
    grid         the real apps, message by message, in this process (simulation/federation.py)
    ray          the real apps on Flower's simulation runtime (simulation/ray_engine.py)

All draw the same episodes from the same keys and keep the same files in the run folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from common.episodes import Site, Task
from common.errors import NonFiniteError
from common.files import write_atomically
from common.learner import Arithmetic, Learner, make_learner
from common.parameters import Params, all_finite, unflatten
from common.randomness import derived_key
from common.slots import with_slots
from common.sources import RunSettings
from common.study import Study, study_toml
from server.rounds import Save
from server.run import Assembled, RunOptions, run_study
from server.state import INITIALIZATION_FILE, STATE_FILE, ServerState, load_initialization
from simulation.fleet import Fleet
from simulation.source import virtual_sites
from simulation.vectorized import asking
from simulation.votes import FleetVotes
from simulation.workers import default_workers

Engine = Literal["vectorized", "grid", "ray"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
STUDY_FILE = "study.toml"
OnRound = Callable[[int], None]
"""Called with a round's number when it is asked for."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Which engine; workers: processes of the vectorized one, 0 takes one a core."""

    name: Engine = "vectorized"
    workers: int = 0
    arithmetic: Arithmetic = "auto"


@dataclass(frozen=True, kw_only=True)
class Training:
    """What an engine runs: the study, written to `folder`, on the sites that the settings name."""

    study: Study
    settings: RunSettings
    folder: Path
    keep_every: int
    on_round: OnRound

    def run_config(self) -> dict[str, str | int | float | bool]:
        """Return Flower's run config for the apps."""
        folder = self.folder.resolve()
        own = {"study": str(folder / STUDY_FILE), "output": str(folder)}
        resume = (folder / STATE_FILE).exists()
        return {**self.settings, **own, "resume": resume, "keep-every": self.keep_every}


def train(
    study: Study,
    settings: RunSettings,
    folder: Path,
    *,
    engine: EngineSettings | Callable[[Training], None] = EngineSettings(),
    keep_every: int = 0,
    on_round: OnRound = lambda round_index: None,
) -> Params:
    """Meta-train, or go on from the checkpoint in `folder`, and return what was learned.

    settings: which virtual sites there are (`simulation.source.DEFAULTS`). keep_every: keep a copy
    of the initialization every so many rounds.

    Raises:
        QuorumNotReached: too few virtual sites gave a usable update.
        NonFiniteError: the initialization is NaN or infinite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / STUDY_FILE, study_toml(study).encode())
    training = Training(
        study=study, settings=settings, folder=folder, keep_every=keep_every, on_round=on_round
    )
    run = engine if callable(engine) else _runner(engine)
    run(training)
    learned = load_initialization(folder / INITIALIZATION_FILE, make_learner(study, seed=0))
    return _finite(learned, study)


def _runner(engine: EngineSettings) -> Callable[[Training], None]:
    if engine.name == "vectorized":
        return lambda training: run_vectorized(training, engine)
    if engine.name == "ray":
        from simulation.ray_engine import run_on_ray  # Ray is an extra

        return run_on_ray
    from simulation.federation import run_on_grid

    return run_on_grid


def run_vectorized(training: Training, engine: EngineSettings) -> None:
    """Run all rounds that are left on the vectorized engine."""
    study, settings = training.study, training.settings
    learner = make_learner(study, seed=int(settings["seed"]), arithmetic=engine.arithmetic)
    options = RunOptions(
        folder=training.folder,
        resume=(training.folder / STATE_FILE).exists(),
        keep_every=training.keep_every,
        seed=int(settings["seed"]),
    )
    workers = engine.workers or default_workers()
    _run(study, learner, virtual_sites(settings), options, workers, training.on_round)


def train_in_memory(
    study: Study,
    tasks: Mapping[str, Sequence[Task]],
    seed: int,
    *,
    learner: Learner | None = None,
    workers: int = 1,
    watch: Save = lambda state, record: None,
) -> tuple[Learner, Params]:
    """Return the study's learner and what the sites' tasks taught it; without files.

    learner: instead of the study's own. workers: processes; their number changes no result. watch:
    called after every attempt at a round.

    Raises:
        QuorumNotReached, NonFiniteError: as `train`.
    """
    learner = learner or make_learner(study, seed=seed)
    sites = [Site(name, derived_key(seed, "site", name), own) for name, own in tasks.items()]
    options = RunOptions(folder=None, seed=seed, watch=watch)
    state = _run(study, learner, sites, options, workers)
    return learner, _finite(unflatten(state.meta, learner.initial), study)


def _run(
    study: Study,
    learner: Learner,
    sites: Sequence[Site],
    options: RunOptions,
    workers: int,
    on_round: OnRound = lambda round_index: None,
) -> ServerState:
    weight_of = {site.name: site.weight for site in study.sites}
    sites = [with_slots(site, study) for site in sites]
    weights = np.array([weight_of[site.name] for site in sites])
    fleet = Fleet(learner, sites, weights, study.server.max_update_norm, study)
    with asking(fleet, workers, on_round) as ask:

        def assemble() -> Assembled:
            return Assembled(list(weight_of), ask, FleetVotes(study, learner, sites))

        return run_study(study, learner, assemble, options)


def _finite(learned: Params, study: Study) -> Params:
    if not all_finite(learned):
        raise NonFiniteError(
            "the initialization is NaN or infinite",
            where=study.algorithm.name,
            remedy="lower meta_lr or inner_lr",
        )
    return learned
