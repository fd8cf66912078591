"""Meta-training on virtual hospitals, on the engines of the simulation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from common.algorithms.base import Algorithm, find_algorithm, theta_of
from common.errors import SettingsError
from common.learner import Learner, make_learner
from common.parameters import Params, unflatten
from common.study import Study
from server.state import (
    RoundRecord,
    ServerState,
    load_initialization,
    read_records,
    snapshot_path,
)
from simulation.progress import Reporter
from simulation.source import DEFAULTS, tailored
from simulation.training import Engine, EngineSettings, train, train_in_memory
from simulation.workers import default_workers
from wardround._hospitals import Hospitals

POINTS = 10
"""What was learned is kept after every tenth of the rounds."""


@dataclass(frozen=True, repr=False)
class Federated:
    """What a federation has learned.

    meta: the initialization and, for some algorithms, inner rates beside it. history: the same
    after every tenth of the rounds, by round. records: who took part in each round, who was dropped
    and why. study: all settings.
    """

    study: Study
    learner: Learner
    meta: Params
    history: Mapping[int, Params]
    records: tuple[RoundRecord, ...]

    @property
    def name(self) -> str:
        """The algorithm's name, which is its arm's name."""
        return self.study.algorithm.name

    @property
    def theta(self) -> Params:
        """The initialization, under the model's own parameter names."""
        return theta_of(self.meta)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.study.sites)} hospitals, {len(self.records)} rounds>"


def federate(
    algorithm: Algorithm | str,
    hospitals: Hospitals,
    *,
    rounds: int = 200,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    options: Mapping[str, float] = MappingProxyType({}),
    model: Callable[[], nn.Module] | None = None,
    sections: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    engine: Engine = "vectorized",
    workers: int = 0,
    progress: bool = False,
) -> Federated:
    """Meta-train on the hospitals and return what was learned.

    Args:
        algorithm: one of your own, or the name of one that is installed (docs/algorithms.md).
        hospitals: who trains.
        rounds: of the federation.
        inner_lr: the inner loop's step size.
        inner_steps: the inner loop's number of steps.
        options: numbers that only this algorithm has.
        model: makes a module from rows [n, ...] to logits [n, 2]; by default the reference network.
        sections: any other setting of a study (docs/study.md) by section, such as
            `{"server": {"meta_lr": 0.01}}`.
        engine: `vectorized` takes all of the above; `grid` and `ray` run the real apps, which find
            hospitals and algorithm by name.
        workers: processes of the vectorized engine, 0 one a core; their number changes no result.
        progress: show a bar on stderr.

    Raises:
        SettingsError: a setting is out of range, or the model does not fit the rows.
        QuorumNotReached, NonFiniteError: what was learned is of no use.
    """
    given = find_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
    inner = {"inner_lr": inner_lr, "inner_steps": inner_steps, "options": dict(options)}
    sections = {
        **sections,
        "algorithm": inner | dict(sections.get("algorithm", {})),
        "server": {"rounds": rounds, **sections.get("server", {})},
    }
    settings = {**(hospitals.origin or DEFAULTS), "seed": hospitals.seed}
    study = tailored(hospitals, settings, given=given, sections=sections)
    with Reporter(quiet=not progress).stage(f"{given.name} ...", study.server.rounds) as tick:
        if engine != "vectorized":
            _check_apps(given, hospitals, model, engine)
            return _by_apps(study, hospitals, engine, tick)
        learner = make_learner(study, seed=hospitals.seed, algorithm=given, build=model)
        _check_model(learner, hospitals)
        diary = _Diary(learner, max(1, study.server.rounds // POINTS), tick)
        _, meta = train_in_memory(
            study,
            hospitals.split.train,
            hospitals.seed,
            learner=learner,
            workers=workers or default_workers(),
            watch=diary.note,
        )
    return Federated(study, learner, meta, diary.history, tuple(diary.records))


@dataclass
class _Diary:
    """Keeps what happened, and what was learned after every so many rounds."""

    learner: Learner
    every: int
    tick: Callable[[str], None]
    history: dict[int, Params] = field(default_factory=dict)
    records: list[RoundRecord] = field(default_factory=list)

    def note(self, state: ServerState, record: RoundRecord) -> None:
        self.records.append(record)
        if record.closed:
            self.tick(f"round {state.round_index}")
            if state.round_index % self.every == 0:
                kept = unflatten(state.meta.clone(), self.learner.initial)
                self.history[state.round_index] = kept


def _check_model(learner: Learner, hospitals: Hospitals) -> None:
    """Refuse a model that does not take the rows, or does not give two logits for each."""
    task = next(iter(hospitals.split.train.values()))[0]
    rows = torch.from_numpy(task.x[:2])
    try:
        found = str(list(learner.logits(theta_of(learner.initial), rows).shape))
    except (RuntimeError, ValueError):
        found = "nothing"
    if found != str([len(rows), 2]):
        raise SettingsError(
            f"the model makes {found} of rows {list(rows.shape)}",
            where="federate",
            remedy=f"give a model that makes {[len(rows), 2]} of them",
        )


def _check_apps(algorithm: Algorithm, hospitals: Hospitals, model: object, engine: Engine) -> None:
    """Refuse what the apps, which know settings alone, could not find again."""
    why = ""
    if hospitals.origin is None:
        why = "hospitals that have a name"
    elif model is not None:
        why = "the reference network"
    elif find_algorithm(algorithm.name) is not algorithm:
        why = "an installed algorithm"
    if why:
        raise SettingsError(
            f"{engine} needs {why}", where="engine", remedy="take the vectorized engine"
        )


def _by_apps(
    study: Study, hospitals: Hospitals, engine: Engine, tick: Callable[[str], None]
) -> Federated:
    learner, rounds = make_learner(study, seed=hospitals.seed), study.server.rounds
    every = max(1, rounds // POINTS)
    with TemporaryDirectory() as name:
        folder = Path(name)
        meta = train(
            study,
            hospitals.origin or {},
            folder,
            engine=EngineSettings(name=engine),
            keep_every=every,
            on_round=lambda index: tick(f"round {index}") if index else None,
        )
        kept = range(every, rounds + 1, every)
        history = {i: load_initialization(snapshot_path(folder, i), learner) for i in kept}
        return Federated(study, learner, meta, history, tuple(read_records(folder, study, learner)))
