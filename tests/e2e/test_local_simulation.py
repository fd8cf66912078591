"""`flwr run .` on Flower's own local simulation, which is Ray. docs/flower.md has it by hand."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from common.learner import make_learner
from server.state import INITIALIZATION_FILE, read_records
from simulation.source import DEFAULTS, SimulatedSource
from simulation.training import train
from tests.e2e.conftest import Flower, Settings, arguments

SETTINGS: Settings = {"dataset": "synthetic", "sites": 4, "rounds": 2, "support": 4, "query": 4}
SITES = ("site-0000", "site-0001", "site-0002")  # the fourth is held out


@pytest.mark.e2e
def test_flwr_run_closes_all_rounds_with_all_virtual_hospitals(
    flower: Flower, checkout: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    run = flower.flwr(
        *("run", ".", "local"),
        *("--federation-config", f"num-supernodes={len(SITES)} client-resources-num-cpus=1"),
        *("--run-config", arguments(SETTINGS | {"output": str(output)})),
        party="researcher",
        cwd=checkout,
        attempts=3,  # Flower gives its local SuperLink 15 s to start
    )
    flower.wait_for_run(run["run-id"], "local", party="researcher", seconds=170)

    study = SimulatedSource().study(DEFAULTS | SETTINGS)
    records = read_records(output, study, make_learner(study, seed=0))
    assert [(r.round_index, r.closed, r.accepted) for r in records] == [
        (1, True, SITES),
        (2, True, SITES),
    ]
    expected = train(study, DEFAULTS | SETTINGS, tmp_path / "alone")
    learned = load_file(output / INITIALIZATION_FILE)
    assert learned.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(learned[name], value, atol=1e-6, rtol=0)
