"""A coordinator and two hospitals over TLS, with Flower's own commands and stock SuperNodes."""

import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from client.site_keys import KEY_FILE
from common.parameters import all_finite
from server.state import INITIALIZATION_FILE
from tests.coordinating import free_ports
from tests.e2e.agreed import HOSPITALS, ROUNDS, Wards, agree, in_one_process, records
from tests.e2e.conftest import Flower, Settings, arguments
from tests.e2e.keys import write_node_key
from tests.e2e.superlink import COORDINATOR, start_coordinator


@pytest.mark.e2e
def test_two_hospitals_over_tls_learn_what_one_process_would(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    study, nodes = agree(wards, tmp_path)
    address = start_coordinator(flower, tmp_path)
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
    assert [(r.round_index, r.closed, r.accepted, r.dropped) for r in records(config)] == [
        (index, True, HOSPITALS, {}) for index in range(1, ROUNDS + 1)
    ]
    keys = [Path(str(node["node"])) / "state" / KEY_FILE for node in nodes.values()]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]
    assert len({key.read_bytes() for key in keys}) == 2

    learned = load_file(tmp_path / "run" / INITIALIZATION_FILE)
    assert all_finite(learned)
    alone = in_one_process(nodes, config | {"output": str(tmp_path / "alone")})
    assert learned.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(learned[name], value, atol=1e-6, rtol=0)


@pytest.mark.e2e
def test_a_hospital_whose_key_is_not_registered_is_turned_away(
    flower: Flower, wards: Wards, tmp_path: Path
) -> None:
    _, nodes = agree(wards, tmp_path)
    address = start_coordinator(flower, tmp_path)
    write_node_key(tmp_path / "Ash" / "node.key")
    flower.start("Ash", *_supernode(tmp_path, address, "Ash", nodes["Ash"]), party="Ash")
    assert "Failed to activate SuperNode" in flower.last_words("Ash")


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
