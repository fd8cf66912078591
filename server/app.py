"""The ServerApp: opens or resumes a study's state, calls the roll, runs the rounds.

The same object serves the in-process grid, Flower's simulation and a deployment.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.learner import make_learner
from common.privacy.masking.roster import read_roster
from common.sources import RunSettings, simulated_source
from common.study import Study, read_study
from server.masked import MaskedAsk
from server.masked_setup import Line, SetUp
from server.rounds import Ask, GridAsk, Roster, call_roll
from server.run import RunOptions, run_study

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study that the run config names, from its first round or its checkpoint."""
    torch.set_num_threads(1)
    _log_to_stderr_if_nowhere_else()
    config = context.run_config
    study, seed = _study(config), int(config["seed"])

    def assemble() -> tuple[Sequence[str], Ask]:
        roster = call_roll(grid, study)
        if study.privacy.profile == "masked":
            return list(roster.weight_of), _masked(grid, study, roster, config)
        return list(roster.weight_of), GridAsk(grid, study, roster)

    options = RunOptions(
        folder=Path(str(config["output"])) if config["output"] else None,
        resume=bool(config["resume"]),
        keep_every=int(config["keep-every"]),
        seed=seed,
    )
    run_study(study, make_learner(study, seed=seed), assemble, options)


def _log_to_stderr_if_nowhere_else() -> None:
    """Let `flwr log` show the rounds: Flower collects what a ServerApp's process writes."""
    logger = logging.getLogger("wardround")
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)


def _masked(grid: Grid, study: Study, roll: Roster, config: RunSettings) -> MaskedAsk:
    """Return the way to ask masked sites, whose own roster the run config names."""
    path = Path(str(config.get("roster", "")))
    text = path.read_text(encoding="utf-8") if path.name else simulated_source().roster(config)
    return MaskedAsk(
        SetUp(
            Line(grid, study, roll.node_of),
            read_roster(text, where=str(path)).roster,
            dim=make_learner(study, seed=0).dim,
            fast_path=bool(config.get("fast-path", True)),
        )
    )


def _study(config: RunSettings) -> Study:
    path = str(config["study"])
    return read_study(Path(path)) if path else simulated_source().study(config)
