"""The ServerApp: opens or resumes a study's state, calls the roll, runs the rounds.

The same object serves the in-process grid, Flower's simulation and a deployment.
"""

import logging
from pathlib import Path

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.errors import RunFolderError
from common.learner import Learner, make_learner
from common.sources import RunSettings, simulated_source
from common.study import Study, read_study
from server.rounds import RoundEngine, call_roll
from server.state import (
    INITIALIZATION_FILE,
    STATE_FILE,
    ServerState,
    first_state,
    load_state,
    save_initialization,
    save_state,
    snapshot_path,
)

log = logging.getLogger("wardround.server")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study that the run config names, from its first round or its checkpoint."""
    torch.set_num_threads(1)
    _log_to_stderr_if_nowhere_else()
    config = context.run_config
    study = _study(config)
    seed = int(config["seed"])
    learner = make_learner(study, seed=seed)
    folder = Path(str(config["output"])) if config["output"] else None
    state = _opening_state(study, learner, folder, resume=bool(config["resume"]))
    roster = call_roll(grid, study)
    log.info("study %s: %d sites, %d rounds", study.id[:8], len(roster.node_of), learner.rounds)

    def save(new: ServerState) -> None:
        last = new.records[-1]
        log.info(
            "round %d: %d accepted, dropped %s", last.round_index, len(last.accepted), last.dropped
        )
        if folder:
            _keep(folder, learner, new, every=int(config["keep-every"]))

    state = RoundEngine(grid, study, roster, seed, save).run(state)
    if folder:
        save_initialization(folder / INITIALIZATION_FILE, learner, state.meta)


def _log_to_stderr_if_nowhere_else() -> None:
    """Let `flwr log` show the rounds: Flower collects what a ServerApp's process writes."""
    logger = logging.getLogger("wardround")
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)


def _study(config: RunSettings) -> Study:
    path = str(config["study"])
    return read_study(Path(path)) if path else simulated_source().study(config)


def _opening_state(
    study: Study, learner: Learner, folder: Path | None, *, resume: bool
) -> ServerState:
    if resume and folder:
        return load_state(folder, study, learner)
    if folder and (folder / STATE_FILE).exists():
        raise RunFolderError(
            "the folder holds a run", where=str(folder), remedy="set resume=true, or choose another"
        )
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return first_state(study, learner)


def _keep(folder: Path, learner: Learner, state: ServerState, *, every: int) -> None:
    """Save the state, and a copy of the initialization every so many rounds."""
    save_state(folder, state)
    if every and state.records[-1].closed and state.round_index % every == 0:
        path = snapshot_path(folder, state.round_index)
        path.parent.mkdir(exist_ok=True)
        save_initialization(path, learner, state.meta)
