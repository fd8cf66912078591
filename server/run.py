"""A run, from its folder to its folder: open or resume the state, run the rounds, keep all of it.

The ServerApp runs it with a way to ask nodes over Flower's Grid; an engine of the simulation with
another way to ask. What is saved, and when, is the same.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from common.errors import RunFolderError
from common.learner import Learner
from common.study import Study
from server.control import Progress, alone
from server.metrics import measure
from server.robust import check_aggregation
from server.rounds import Ask, RoundEngine, Save
from server.state import (
    INITIALIZATION_FILE,
    STATE_FILE,
    Checkpoint,
    RoundRecord,
    ServerState,
    first_state,
    save_initialization,
    snapshot_path,
)
from server.votes import AskVotes

log = logging.getLogger("wardround.server")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """folder: where state is kept, None keeps none. keep_every: a copy every so many rounds, or 0.

    resume: go on from the folder's checkpoint. seed: of the drawn cohorts. watch: called after
    every attempt at a round.
    """

    folder: Path | None
    resume: bool = False
    keep_every: int = 0
    seed: int = 0
    watch: Save = lambda state, record: None


class Assembled(NamedTuple):
    """The names of a run's sites, and the ways to ask them for updates and for votes."""

    sites: Sequence[str]
    ask: Ask
    ask_votes: AskVotes | None = None


def run_study(
    study: Study,
    learner: Learner,
    assemble: Callable[[], Assembled],
    options: RunOptions,
) -> ServerState:
    """Run the study from its first round or its checkpoint and return the last state.

    assemble: called once the state is open. What was learned is saved before anything is measured.

    Raises:
        RunFolderError: the folder holds a run that is not to be resumed, or none or a damaged one,
            or another process runs it.
        QuorumNotReached: too few sites took part.
        RunStopped: a person has stopped it; resumed, it goes on from there.
        SettingsError: the aggregation is not installed, or weights differ where sites count alike.
    """
    with alone(options.folder) if options.folder else nullcontext():
        return _run(study, learner, assemble, options)


def _run(
    study: Study, learner: Learner, assemble: Callable[[], Assembled], options: RunOptions
) -> ServerState:
    folder = options.folder
    check_aggregation(study)
    state, checkpoint = _open(study, learner, options)
    progress = Progress(folder, learner.rounds) if folder else None
    with progress.told() if progress else nullcontext():
        sites, ask, ask_votes = assemble()
        log.info("study %s: %d sites, %d rounds", study.id[:8], len(sites), learner.rounds)
        save = _saver(learner, checkpoint, options)
        engine = RoundEngine(study, sites, ask, options.seed, save)
        state = (replace(engine, hold=progress.hold) if progress else engine).run(state)
        if progress:
            progress.say("running", state.round_index)
        if folder:
            save_initialization(folder / INITIALIZATION_FILE, learner, state.meta)
            if ask_votes and study.evaluation.metric_releases:
                measure(study, state, ask_votes, folder)
    return state


def _saver(learner: Learner, checkpoint: Checkpoint | None, options: RunOptions) -> Save:
    """Return what is done after every attempt at a round."""
    folder, every = options.folder, options.keep_every

    def save(new: ServerState, record: RoundRecord) -> None:
        accepted, dropped = len(record.accepted), record.dropped
        log.info("round %d: %d accepted, dropped %s", record.round_index, accepted, dropped)
        if checkpoint:
            checkpoint.save(new, record)
        options.watch(new, record)
        if folder and record.closed and every and new.round_index % every == 0:
            _keep_copy(folder, learner, new)

    return save


def _open(
    study: Study, learner: Learner, options: RunOptions
) -> tuple[ServerState, Checkpoint | None]:
    folder = options.folder
    if folder is None:
        return first_state(study, learner), None
    checkpoint = Checkpoint(folder)
    if options.resume:
        return checkpoint.load(study, learner), checkpoint
    if (folder / STATE_FILE).exists():
        raise RunFolderError(
            "the folder holds a run", where=str(folder), remedy="set resume=true, or choose another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return first_state(study, learner), checkpoint


def _keep_copy(folder: Path, learner: Learner, state: ServerState) -> None:
    path = snapshot_path(folder, state.round_index)
    path.parent.mkdir(exist_ok=True)
    save_initialization(path, learner, state.meta)
