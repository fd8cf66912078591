"""A federation of virtual hospitals in this process: the real apps over the in-process grid."""

from flwr.app import Context, RecordDict

from client.app import app as client_app
from common.sources import RunSettings
from server.app import app as server_app
from simulation.grid import InProcessGrid, PlantFault
from simulation.training import Training


def run_on_grid(
    training: Training,
    *,
    serialise: bool = False,
    fault: PlantFault = lambda round_index, node: None,
) -> None:
    """Run all rounds that are left; `serialise` and `fault` are the grid's.

    Raises:
        QuorumNotReached: too few virtual sites gave a usable update.
    """
    config, sites = training.run_config(), len(training.study.sites)
    contexts = {i + 1: _context(config, i, sites) for i in range(sites)}
    grid = InProcessGrid(
        client_app, contexts, serialise=serialise, fault=fault, on_round=training.on_round
    )
    server_app(grid, _context(config, 0, 0))


def _context(settings: RunSettings, index: int, sites: int) -> Context:
    node_config = {"partition-id": index, "num-partitions": sites} if sites else {}
    return Context(
        run_id=1,
        node_id=index + 1,
        node_config=dict(node_config),
        state=RecordDict(),
        run_config=dict(settings),
    )
