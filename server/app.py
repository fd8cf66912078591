"""The ServerApp: opens or resumes a study's state, calls the roll, runs the rounds.

The same object serves the in-process grid, Flower's simulation and a deployment.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.learner import make_learner
from common.messages.purposes import VOTES
from common.privacy.histograms import CELLS
from common.privacy.masking.roster import read_roster
from common.sources import RunSettings, simulated_source
from common.study import Study, read_study
from server.masked import MaskedAsk, MaskedSums
from server.masked_setup import Line, SetUp
from server.rounds import Answers, Ask, GridAsk, Roster, call_roll
from server.run import Assembled, RunOptions, run_study
from server.state import ServerState
from server.votes import GridVotes, MaskedVotes

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study that the run config names, from its first round or its checkpoint."""
    torch.set_num_threads(1)
    _log_to_stderr_if_nowhere_else()
    config = context.run_config
    study, seed = _study(config), int(config["seed"])

    def assemble() -> Assembled:
        roster = call_roll(grid, study, _enrolled(config))
        sites = list(roster.weight_of)
        if study.privacy.profile == "masked":
            ask, ask_votes = _masked(grid, study, roster, config)
            return Assembled(sites, _attended(ask, roster), ask_votes)
        votes = GridVotes(Line(grid, study, roster.node_of))
        return Assembled(sites, GridAsk(grid, study, roster), votes)

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


def _enrolled(config: RunSettings) -> Callable[[], Mapping[str, int] | None] | None:
    """Return how to find the node of each enrolled key; None where nobody has enrolled."""
    if not config.get("coordinator"):
        return None
    from server.coordinator.fleet import (
        SuperLinkDown,
        SuperLinkRefuses,
        control_api,
        site_nodes,
    )
    from server.coordinator.folder import open_folder
    from server.coordinator.quick import quicken_grid
    from server.coordinator.replies import guard_grid

    quicken_grid()
    guard_grid()
    folder = open_folder(Path(str(config["coordinator"])))

    def nodes() -> Mapping[str, int] | None:
        try:
            with control_api(folder) as api:
                return site_nodes(folder, api)
        except (SuperLinkDown, SuperLinkRefuses):
            return None

    return nodes


def _attended(ask: Ask, roll: Roster) -> Ask:
    """Return the way to ask, before which sites that have come are noticed and a quorum awaited."""

    def attended(state: ServerState, cohort: Sequence[str]) -> Answers:
        roll.presence.await_quorum(cohort)
        return ask(state, cohort)

    return attended


def _masked(
    grid: Grid, study: Study, roll: Roster, config: RunSettings
) -> tuple[MaskedAsk, MaskedVotes]:
    """Return the ways to ask masked sites, whose own roster the run config names."""
    path = Path(str(config.get("roster", "")))
    text = path.read_text(encoding="utf-8") if path.name else simulated_source().roster(config)
    roster = read_roster(text, where=str(path)).roster
    updates = SetUp(
        Line(grid, study, roll.node_of),
        roster,
        dim=make_learner(study, seed=0).dim,
        fast_path=bool(config.get("fast-path", True)),
    )
    votes = replace(updates, line=replace(updates.line, purpose=VOTES), dim=CELLS, silent=set())
    return MaskedAsk(MaskedSums(updates)), MaskedVotes(votes)


def _study(config: RunSettings) -> Study:
    path = str(config["study"])
    return read_study(Path(path)) if path else simulated_source().study(config)
