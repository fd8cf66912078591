"""`wardround node start` with real Flower processes: a coordinator and two hospitals over TLS."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

from client.executor.status import summary
from server.state import INITIALIZATION_FILE
from tests.e2e.conftest import ROOT, Flower, Settings, arguments
from tests.e2e.keys import write_node_key
from tests.e2e.test_tls_federation import (
    COORDINATOR,
    HOSPITALS,
    ROUNDS,
    _agree,
    _in_one_process,
    _records,
    _start_superlink,
)

Wards = Callable[..., dict[str, Any]]
WIRING = "table_wiring"


def bundle_hash(flower: Flower, checkout: Path, folder: Path) -> str:
    """Return the SHA-256 of the bundle that `flwr run` will send."""
    flower.run("flwr", "build", "--app", str(checkout), party=COORDINATOR, cwd=folder)
    (bundle,) = folder.glob("*.fab")
    return hashlib.sha256(bundle.read_bytes()).hexdigest()


def make_node(
    flower: Flower, site: str, config: Settings, *, address: str, ca: Path, bundle: str
) -> Path:
    """Write a node's folder, as a hospital has it, and return it."""
    folder = flower.home(site) / "node"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(ca.read_bytes())
    (folder / "config.json").write_text(json.dumps(config))
    write_node_key(folder / "node.key")
    site_file = {
        "site": site,
        "coordinator": {"address": address},
        "source": {"kind": "file", "path": "patients.csv"},
        "service": {"bundles": [bundle]},
    }
    (folder / "site.toml").write_text(tomli_w.dumps(site_file))
    return folder


def start_node(flower: Flower, folder: Path, *, patience_s: float = 100, name: str = "") -> None:
    command = (sys.executable, "-m", "table_node", str(folder), WIRING, str(patience_s))
    site = folder.parent.name
    flower.start(name or site, "env", f"PYTHONPATH={ROOT}:{ROOT}/tests/e2e", *command, party=site)


def wait_connected(flower: Flower, folder: Path, seconds: float = 60) -> dict[str, Any]:
    flower.wait(lambda: summary(folder)["state"] == "connected", "connected", seconds)
    return summary(folder)


def run_study(flower: Flower, checkout: Path, config: Settings, *, seconds: float) -> str:
    command = ("run", ".", "study", "--run-config", arguments(config))
    run = flower.flwr(*command, party=COORDINATOR, cwd=checkout)
    flower.wait_for_run(run["run-id"], "study", party=COORDINATOR, seconds=seconds)
    return str(run["run-id"])


@pytest.mark.e2e
def test_two_nodes_learn_what_one_process_would_and_refuse_what_they_must(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    study, nodes = _agree(wards, tmp_path)
    address = _start_superlink(flower, tmp_path)
    bundle = bundle_hash(flower, checkout, tmp_path)
    folders = {}
    for site, config in nodes.items():
        folders[site] = make_node(
            flower, site, config, address=address, ca=tmp_path / "ca.crt", bundle=bundle
        )
        public = str(folders[site] / "node.pub")
        flower.flwr("supernode", "register", public, "study", party=COORDINATOR)
        start_node(flower, folders[site])
    settings: Settings = {"study": str(study), "output": str(tmp_path / "run"), "seed": 3}
    for folder in folders.values():
        wait_connected(flower, folder)
    run_study(flower, checkout, settings, seconds=120)
    assert [(r.round_index, r.closed, r.accepted, r.dropped) for r in _records(settings)] == [
        (index, True, HOSPITALS, {}) for index in range(1, ROUNDS + 1)
    ]
    learned = load_file(tmp_path / "run" / INITIALIZATION_FILE)
    alone = _in_one_process(nodes, settings | {"output": str(tmp_path / "alone")})
    for name, value in alone.items():
        torch.testing.assert_close(learned[name], value, atol=1e-6, rtol=0)
    print("seconds a round:", [round(r.seconds, 2) for r in _records(settings)])
    told = summary(folders["Ash"])
    assert told["answered"] == ROUNDS + 1
    assert told["last_round"] == str(ROUNDS)
    assert not told["refused"]

    pids = told["pids"]
    environment = Path(f"/proc/{pids['supernode']}/environ").read_bytes().decode()
    assert "PATH=" in environment
    assert str(nodes["Ash"]["data"]) not in environment
    flower.stop("Ash")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert summary(folders["Ash"])["state"] == "not running"
