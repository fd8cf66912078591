"""`wardround node start` with real Flower processes: a coordinator and two hospitals over TLS."""

import functools
import os
import random
import shutil
import signal
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

from client.executor.status import summary
from server.state import INITIALIZATION_FILE
from tests.e2e.agreed import HOSPITALS, ROUNDS, Wards, agree, in_one_process, records
from tests.e2e.conftest import ROOT, Flower, Settings, arguments
from tests.e2e.keys import write_certificates, write_node_key
from tests.e2e.superlink import COORDINATOR, start_coordinator


def built_bundle(flower: Flower, checkout: Path, folder: Path) -> bytes:
    """Return the bundle that `flwr run` will send."""
    flower.run("flwr", "build", "--app", str(checkout), party=COORDINATOR, cwd=folder)
    (bundle,) = folder.glob("*.fab")
    return bundle.read_bytes()


def make_node(flower: Flower, site: str, config: Settings, *, address: str, ca: Path) -> Path:
    """Complete a hospital's folder by what its service needs, and return it."""
    folder = flower.home(site) / "node"
    shutil.copytree(str(config["node"]), folder)
    (folder / "ca.crt").write_bytes(ca.read_bytes())
    if not (folder / "node.key").exists():
        write_node_key(folder / "node.key")
    rules = tomllib.loads((folder / "site.toml").read_text())
    rules["coordinator"]["address"] = address
    (folder / "site.toml").write_text(tomli_w.dumps(rules))
    return folder


def start_node(flower: Flower, folder: Path) -> None:
    """Start a node as a hospital does."""
    site = folder.parent.name
    command = ("wardround", "node", "start", "--folder", str(folder))
    flower.start(site, "env", f"PYTHONPATH={ROOT}", *command, party=site)


def wait_connected(flower: Flower, folder: Path, seconds: float = 60) -> dict[str, Any]:
    flower.wait(lambda: summary(folder)["state"] == "connected", "connected", seconds)
    return summary(folder)


def run_study(flower: Flower, checkout: Path, config: Settings, *, seconds: float) -> str:
    command = ("run", ".", "study", "--run-config", arguments(config))
    run = flower.flwr(*command, party=COORDINATOR, cwd=checkout)
    flower.wait_for_run(run["run-id"], "study", party=COORDINATOR, seconds=seconds)
    return str(run["run-id"])


def start_all(flower: Flower, folder: Path, nodes: dict[str, Settings]) -> dict[str, Path]:
    """Start a coordinator and the nodes, and return the nodes' folders once all are connected."""
    address = start_coordinator(flower, folder)
    folders = {}
    for site, config in nodes.items():
        folders[site] = make_node(flower, site, config, address=address, ca=folder / "ca.crt")
        public = str(folders[site] / "node.pub")
        flower.flwr("supernode", "register", public, "study", party=COORDINATOR)
        start_node(flower, folders[site])
    for each in folders.values():
        wait_connected(flower, each)
    return folders


@pytest.mark.e2e
def test_two_nodes_learn_what_one_process_would(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    bundle = built_bundle(flower, checkout, tmp_path)
    study, nodes = agree(wards, tmp_path, bundle=bundle)
    folders = start_all(flower, tmp_path, nodes)
    settings: Settings = {"study": str(study), "output": str(tmp_path / "run"), "seed": 3}
    run_study(flower, checkout, settings, seconds=120)
    assert [(r.round_index, r.closed, r.accepted, r.dropped) for r in records(settings)] == [
        (index, True, HOSPITALS, {}) for index in range(1, ROUNDS + 1)
    ]
    print("seconds a round:", [round(r.seconds, 2) for r in records(settings)])
    told = summary(folders["Ash"])
    assert told["answered"] == ROUNDS + 1
    assert told["last_round"] == str(ROUNDS)
    assert not told["refused"]

    pids = told["pids"]
    environment = Path(f"/proc/{pids['supernode']}/environ").read_bytes().decode()
    assert "PATH=" in environment
    assert str(nodes["Ash"]["node"]) not in environment
    told_by_log = (folders["Ash"] / "state" / "node.log").read_text()
    assert "request answered" in told_by_log
    flower.stop("Ash")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert summary(folders["Ash"])["state"] == "not running"
    flower.stop("Birch")
    same: dict[str, Settings] = {site: {"node": str(each)} for site, each in folders.items()}
    learned = load_file(tmp_path / "run" / INITIALIZATION_FILE)
    alone = in_one_process(same, settings | {"output": str(tmp_path / "alone")})
    for name, value in alone.items():
        torch.testing.assert_close(learned[name], value, atol=1e-6, rtol=0)


@pytest.mark.e2e
def test_another_bundle_is_refused_and_none_of_its_code_runs(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    bundle = built_bundle(flower, checkout, tmp_path)
    study, nodes = agree(wards, tmp_path, bundle=bundle)
    folders = start_all(flower, tmp_path, nodes)
    witness = tmp_path / "witness"
    (checkout / "planted.py").write_text(
        f"open({str(witness)!r}, 'a').close()\nfrom flwr.clientapp import ClientApp\n"
        "app = ClientApp()\n"
    )
    text = (checkout / "pyproject.toml").read_text()
    text = text.replace("fab-include = [", 'fab-include = ["planted.py", ')
    text = text.replace('clientapp = "client.app:app"', 'clientapp = "planted:app"')
    (checkout / "pyproject.toml").write_text(text)
    config: Settings = {"study": str(study), "output": str(tmp_path / "run"), "seed": 3}
    command = ("run", ".", "study", "--run-config", arguments(config))
    run = flower.flwr(*command, party=COORDINATOR, cwd=checkout)
    witness.unlink(missing_ok=True)  # `flwr run` itself may look at the app that it packs

    def refused() -> bool:
        told = [summary(each) for each in folders.values()]
        return all(each.get("refused", {}).get("wrong-bundle") for each in told)

    flower.wait(refused, "refusals", 60)
    flower.flwr("stop", run["run-id"], "study", party=COORDINATOR)
    assert not witness.exists()
    for folder in folders.values():
        assert not [path for path in folder.rglob("*") if path.name == "planted.py"]
        assert summary(folder)["last_error"] == "wrong-bundle"


@pytest.mark.e2e
def test_a_node_gives_up_on_what_a_person_must_mend(
    flower: Flower, wards: Wards, tmp_path: Path
) -> None:
    _, nodes = agree(wards, tmp_path)
    address = start_coordinator(flower, tmp_path)
    unknown, stranger = (
        make_node(flower, site, node, address=address, ca=tmp_path / "ca.crt")
        for site, node in nodes.items()
    )
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    (stranger / "ca.crt").write_bytes((tmp_path / "other" / "ca.crt").read_bytes())
    start_node(flower, unknown)
    start_node(flower, stranger)
    assert "does not know this node's key" in flower.last_words(unknown.parent.name, seconds=180)
    assert "not of the CA that you were given" in flower.last_words(stranger.parent.name)


@pytest.mark.e2e
def test_killed_again_and_again_the_nodes_come_back_and_the_study_is_finished(
    flower: Flower, checkout: Path, wards: Wards, tmp_path: Path
) -> None:
    chance = random.Random(5)
    bundle = built_bundle(flower, checkout, tmp_path)
    study, nodes = agree(wards, tmp_path, bundle=bundle)
    folders = start_all(flower, tmp_path, nodes)
    folder = folders["Ash"]
    for turn, part in enumerate(("executor", "supernode", "executor", "parent", "parent")):
        before = summary(folder)
        time.sleep(2 * chance.random())
        if part == "parent":
            flower.kill("Ash")
            start_node(flower, folder)
        else:
            os.kill(before["pids"][part], signal.SIGKILL)
        began = time.monotonic()
        flower.wait(functools.partial(renewed, folder, before, part), f"turn {turn}", 120)
        print(part, "came back after", round(time.monotonic() - began, 1), "s")
    config: Settings = {"study": str(study), "output": str(tmp_path / "run"), "seed": 3}
    run_study(flower, checkout, config, seconds=150)
    assert [r.accepted for r in records(config)] == [HOSPITALS] * ROUNDS


def renewed(folder: Path, before: dict[str, Any], part: str) -> bool:
    """Return whether the node is connected again with a new process in place of the killed one."""
    now = summary(folder)
    if now["state"] != "connected":
        return False
    if part == "parent":
        return bool(now["pid"] != before["pid"])
    return bool(now["pids"][part] != before["pids"][part])
