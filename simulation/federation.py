"""A federation of virtual hospitals in this process: the real apps over the in-process grid."""

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, RecordDict

from client.app import app as client_app
from common.errors import NonFiniteError
from common.files import write_atomically
from common.learner import make_learner
from common.parameters import Params, all_finite
from common.sources import RunSettings
from common.study import Study, study_toml
from server.app import app as server_app
from server.state import INITIALIZATION_FILE, STATE_FILE, load_initialization
from simulation.grid import InProcessGrid, PlantFault

STUDY_FILE = "study.toml"


def train(
    study: Study,
    settings: RunSettings,
    folder: Path,
    *,
    keep_every: int = 0,
    on_round: Callable[[int], None] = lambda round_index: None,
    serialise: bool = False,
    fault: PlantFault = lambda round_index, node: None,
) -> Params:
    """Meta-train, or go on from the checkpoint in `folder`, and return what was learned.

    settings: which virtual sites there are (`simulation.source.DEFAULTS`). keep_every: keep a copy
    of the initialization every so many rounds.

    Raises:
        QuorumNotReached: too few virtual sites gave a usable update.
        NonFiniteError: the initialization is NaN or infinite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STUDY_FILE
    write_atomically(path, study_toml(study).encode())
    config = dict(settings)
    config["study"], config["output"] = str(path), str(folder)
    config["resume"], config["keep-every"] = (folder / STATE_FILE).exists(), keep_every
    contexts = {i + 1: _context(config, i, len(study.sites)) for i in range(len(study.sites))}
    grid = InProcessGrid(client_app, contexts, serialise=serialise, fault=fault, on_round=on_round)
    server_app(grid, _context(config, 0, 0))
    learned = load_initialization(folder / INITIALIZATION_FILE, make_learner(study, seed=0))
    if not all_finite(learned):
        raise NonFiniteError(
            "the initialization is NaN or infinite",
            where=study.algorithm.name,
            remedy="lower meta_lr or inner_lr",
        )
    return learned


def _context(settings: RunSettings, index: int, sites: int) -> Context:
    node_config = {"partition-id": index, "num-partitions": sites} if sites else {}
    return Context(
        run_id=1,
        node_id=index + 1,
        node_config=dict(node_config),
        state=RecordDict(),
        run_config=dict(settings),
    )
