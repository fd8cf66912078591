"""A study of two hospitals, what its run has recorded, and what one process makes of it."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from flwr.app import Context, RecordDict
from safetensors.torch import load_file

from client.app import app as client_app
from common.learner import make_learner
from common.study import make_study, read_study, study_toml
from server.app import app as server_app
from server.state import INITIALIZATION_FILE, RoundRecord, read_records
from simulation.grid import InProcessGrid
from tests.e2e.conftest import ROOT, Settings
from tests.hospital import hospital

HOSPITALS = ("Ash", "Birch")
ROUNDS = 2
Wards = Callable[..., dict[str, Any]]


def agree(
    wards: Wards, folder: Path, *, rounds: int = ROUNDS, bundle: bytes | None = None
) -> tuple[Path, dict[str, Settings]]:
    """Write a study of two hospitals and the table of each; return the node configs."""
    server = {"rounds": rounds, "deadline_s": 80, "quorum": 1.0, "attempts": 1}
    written = wards(server=server)
    roster = [{"name": HOSPITALS[0]}, {"name": HOSPITALS[1], "weight": 2.0}]
    settings = tomllib.loads(Path(written["study"]).read_text()) | {"sites": roster}
    study = folder / "study.toml"
    study.write_text(study_toml(make_study(settings, where="test")))

    table, agreed = pd.read_csv(written["data"]), read_study(study)
    nodes: dict[str, Settings] = {}
    for site in HOSPITALS:
        own = table[table["site"] == site].drop(columns="site")
        nodes[site] = hospital(folder / site, agreed, own, name=site, bundle=bundle)
    return study, nodes


def records(config: Settings) -> list[RoundRecord]:
    study = read_study(Path(str(config["study"])))
    return read_records(Path(str(config["output"])), study, make_learner(study, seed=0))


def in_one_process(nodes: Mapping[str, Settings], config: Settings) -> dict[str, torch.Tensor]:
    """Return what the same apps learn from the same tables and keys with nothing between them."""
    text = (ROOT / "pyproject.toml").read_text()
    run_config = tomllib.loads(text)["tool"]["flwr"]["app"]["config"] | config
    contexts = {i: _context(i, node, run_config) for i, node in enumerate(nodes.values(), start=1)}
    server_app(InProcessGrid(client_app, contexts), _context(0, {}, run_config))
    return load_file(Path(str(config["output"])) / INITIALIZATION_FILE)


def _context(node_id: int, node: Settings, run: Settings) -> Context:
    return Context(run_id=1, node_id=node_id, node_config=node, state=RecordDict(), run_config=run)
