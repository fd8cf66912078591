"""A coordinator and two hospitals over TLS, with Flower's own commands and stock SuperNodes."""

import secrets
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomli_w
import torch
from flwr.app import Context, RecordDict
from safetensors.torch import load_file

from client.app import app as client_app
from client.site_keys import KEY_FILE
from common.learner import make_learner
from common.parameters import all_finite
from common.study import make_study, read_study, study_toml
from server.app import app as server_app
from server.state import INITIALIZATION_FILE, RoundRecord, read_records
from simulation.grid import InProcessGrid
from tests.coordinating import free_ports
from tests.e2e.conftest import ROOT, Flower, Settings, arguments
from tests.e2e.keys import write_certificates, write_node_key
from tests.hospital import hospital

HOSPITALS = ("Ash", "Birch")
ROUNDS = 2
COORDINATOR = "coordinator"
Wards = Callable[..., dict[str, Any]]


@pytest.mark.e2e
def test_two_hospitals_over_tls_learn_what_one_process_would(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    study, nodes = _agree(wards, tmp_path)
    address = _start_superlink(flower, tmp_path)
    for site, node in nodes.items():
        public = write_node_key(tmp_path / site / "node.key")
        flower.flwr("supernode", "register", str(public), "study", party=COORDINATOR)
        flower.start(site, *_supernode(tmp_path, address, site, node), party=site)

    config: Settings = {"study": str(study), "output": str(tmp_path / "run"), "seed": 3}
    command = ("run", ".", "study", "--run-config", arguments(config))
    run = flower.flwr(*command, party=COORDINATOR, cwd=checkout)
    flower.wait_for_run(run["run-id"], "study", party=COORDINATOR, seconds=170)

    shown = flower.run("flwr", "log", run["run-id"], "study", "--show", party=COORDINATOR)
    assert "round 2: 2 accepted" in shown
    assert [(r.round_index, r.closed, r.accepted, r.dropped) for r in _records(config)] == [
        (index, True, HOSPITALS, {}) for index in range(1, ROUNDS + 1)
    ]
    keys = [Path(str(node["node"])) / "state" / KEY_FILE for node in nodes.values()]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]
    assert len({key.read_bytes() for key in keys}) == 2

    learned = load_file(tmp_path / "run" / INITIALIZATION_FILE)
    assert all_finite(learned)
    alone = _in_one_process(nodes, config | {"output": str(tmp_path / "alone")})
    assert learned.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(learned[name], value, atol=1e-6, rtol=0)


@pytest.mark.e2e
def test_a_hospital_whose_key_is_not_registered_is_turned_away(
    flower: Flower, wards: Wards, tmp_path: Path
) -> None:
    _, nodes = _agree(wards, tmp_path)
    address = _start_superlink(flower, tmp_path)
    write_node_key(tmp_path / "Ash" / "node.key")
    flower.start("Ash", *_supernode(tmp_path, address, "Ash", nodes["Ash"]), party="Ash")
    assert "Failed to activate SuperNode" in flower.last_words("Ash")


def _agree(
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


def _start_superlink(flower: Flower, folder: Path) -> str:
    """Start a SuperLink and its SuperExec, tell `flwr` of them and return the address."""
    (port,) = free_ports(1)
    address, ca, secret = f"127.0.0.1:{port}", folder / "ca.crt", folder / "superexec.secret"
    write_certificates(folder)
    secret.write_bytes(secrets.token_bytes(32))
    flower.start(
        "superlink",
        "flower-superlink",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ssl-ca-certfile", str(ca)),
        *("--ssl-certfile", str(folder / "server.crt")),
        *("--ssl-keyfile", str(folder / "server.key")),
        "--enable-supernode-auth",
        *("--database", str(folder / "superlink.db")),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
        "--disable-runtime-dependency-installation",
        party=COORDINATOR,
    )
    connection = {"address": address, "root-certificates": str(ca)}
    (flower.home(COORDINATOR) / "config.toml").write_text(
        tomli_w.dumps({"superlink": {"default": "study", "study": connection}})
    )
    flower.wait_for_port(port)
    flower.start(
        "superexec",
        "flower-superexec",
        *("--runtime-api-address", address, "--root-certificates", str(ca)),
        *("--superexec-auth-secret-file", str(secret)),
        *("--executor", "subprocess"),
        party=COORDINATOR,
    )
    return address


def _supernode(folder: Path, address: str, site: str, node: Settings) -> tuple[str, ...]:
    """Return the command that starts a hospital's SuperNode."""
    (port,) = free_ports(1)
    return (
        "flower-supernode",
        *("--superlink", address, "--root-certificates", str(folder / "ca.crt")),
        *("--auth-supernode-private-key", str(folder / site / "node.key")),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--node-config", arguments(node)),
    )


def _records(config: Settings) -> list[RoundRecord]:
    study = read_study(Path(str(config["study"])))
    return read_records(Path(str(config["output"])), study, make_learner(study, seed=0))


def _in_one_process(nodes: Mapping[str, Settings], config: Settings) -> dict[str, torch.Tensor]:
    """Return what the same apps learn from the same tables and keys with nothing between them."""
    text = (ROOT / "pyproject.toml").read_text()
    run_config = tomllib.loads(text)["tool"]["flwr"]["app"]["config"] | config
    contexts = {i: _context(i, node, run_config) for i, node in enumerate(nodes.values(), start=1)}
    server_app(InProcessGrid(client_app, contexts), _context(0, {}, run_config))
    return load_file(Path(str(config["output"])) / INITIALIZATION_FILE)


def _context(node_id: int, node: Settings, run: Settings) -> Context:
    return Context(run_id=1, node_id=node_id, node_config=node, state=RecordDict(), run_config=run)
