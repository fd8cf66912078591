from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict

from client.app import app as client_app
from common.errors import RunFolderError
from server.app import app
from server.state import STATE_FILE
from simulation.grid import InProcessGrid
from simulation.source import make_plan, tailored
from simulation.training import train


def test_a_run_never_overwrites_an_earlier_one(
    wards: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    settings, folder = wards(server={"rounds": 1}), tmp_path / "run"
    train(tailored(make_plan(settings), settings), settings, folder)
    before = (folder / STATE_FILE).read_bytes()
    config = settings | {"output": str(folder), "resume": False, "keep-every": 0}
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=config)
    with pytest.raises(RunFolderError, match="holds a run"):
        app(InProcessGrid(client_app, {}), context)
    assert (folder / STATE_FILE).read_bytes() == before
