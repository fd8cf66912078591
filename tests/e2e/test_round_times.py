"""How long a round takes: Flower's stock SuperNode, and `wardround node start`; -s prints both."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Flower, Settings
from tests.e2e.keys import write_node_key
from tests.e2e.test_node_service import (
    built_bundle,
    make_node,
    run_study,
    start_node,
    wait_connected,
)
from tests.e2e.test_tls_federation import (
    COORDINATOR,
    _agree,
    _records,
    _start_superlink,
    _supernode,
)

Wards = Callable[..., dict[str, Any]]
ROUNDS = 8


@pytest.mark.e2e
def test_a_warm_node_is_quicker_than_a_process_a_message(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    bundle = built_bundle(flower, checkout, tmp_path)
    study, nodes = _agree(wards, tmp_path, rounds=ROUNDS, bundle=bundle)
    address = _start_superlink(flower, tmp_path)
    config: Settings = {"study": str(study), "seed": 3}
    for site, node in nodes.items():
        public = str(write_node_key(tmp_path / site / "node.key"))
        flower.flwr("supernode", "register", public, "study", party=COORDINATOR)
        flower.start(site, *_supernode(tmp_path, address, site, node), party=site)
    stock = seconds(flower, checkout, config | {"output": str(tmp_path / "stock")})
    for site in nodes:
        flower.stop(site)
    for site, node in nodes.items():
        name = f"{site}-warm"
        folder = make_node(flower, name, node, address=address, ca=tmp_path / "ca.crt")
        (folder / "node.key").unlink()
        write_node_key(folder / "node.key")
        public = str(folder / "node.pub")
        flower.flwr("supernode", "register", public, "study", party=COORDINATOR)
        start_node(flower, folder)
        wait_connected(flower, folder)
    warm = seconds(flower, checkout, config | {"output": str(tmp_path / "warm")})
    print("stock:", stock, "warm:", warm)
    assert statistics.median(warm) < statistics.median(stock) / 2


def seconds(flower: Flower, checkout: Path, config: Settings) -> list[float]:
    run_study(flower, checkout, config, seconds=300)
    return [round(record.seconds, 2) for record in _records(config)]
