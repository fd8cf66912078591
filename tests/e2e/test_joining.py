"""A real SuperLink behind the edge: a hospital joins by code, is online, is revoked, comes back."""

import ssl
import time
from pathlib import Path

import httpx
import pytest

from client.join.joining import join, rotate_key
from client.site_file import STATE
from server.coordinator.fleet import control_api, register_pending
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.invitations import revoke
from server.coordinator.serving import EdgeServer
from tests.coordinating import free_ports, invited, make_folder, serving, with_limits
from tests.e2e.conftest import Flower
from tests.e2e.superlink import start_superlink


@pytest.mark.e2e
def test_a_hospital_joins_by_code_and_is_online_until_it_is_revoked(
    flower: Flower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = with_limits(make_folder(tmp_path / "coordinator"), enrol_burst=200)
    node = tmp_path / "ash"
    with serving(EdgeServer(folder)):
        queued = join(invited(folder).code, node, "Ash")
        assert not queued.receipt.registered  # there is no SuperLink yet
        start_its_superlink(flower, folder)
        assert wait(lambda: register_pending(folder)), "the key is not registered"

        for path in ("/v1/control/list-nodes", "/v1/runtime/acquire-task", "/openapi.json"):
            assert status(folder, path, folder.settings.edge.port) == 404
        assert status(folder, "/openapi.json", folder.settings.superlink.port) == 200

        start_node(flower, folder, node, "first")
        assert wait(lambda: statuses(folder) == ["online"]), statuses(folder)
        elm = join(invited(folder, "Elm").code, tmp_path / "elm", "Elm")
        assert elm.receipt.registered  # at once, and Ash has noticed nothing
        assert statuses(folder) == ["online", "registered"]

        revoke(folder, "Ash", node_key=True, now=time.time())
        assert register_pending(folder)
        assert statuses(folder) == ["registered", "unregistered"]
        flower.last_words("first", seconds=90)  # the SuperLink's 401 ends the process

        rotate_key(node)
        start_node(flower, folder, node, "second")
        expected = ["online", "registered", "unregistered"]
        assert wait(lambda: statuses(folder) == expected), statuses(folder)


def status(folder: CoordinatorFolder, path: str, port: int) -> int:
    """Return the status of a GET as anybody with the authority's certificate can make it."""
    context = ssl.create_default_context(cafile=str(folder.ca))
    return httpx.get(f"https://localhost:{port}{path}", verify=context, trust_env=False).status_code


def statuses(folder: CoordinatorFolder) -> list[str]:
    with control_api(folder) as fleet:
        return sorted(each.status for each in fleet.nodes())


def wait(there: object, *, seconds: float = 90) -> bool:
    assert callable(there)
    limit = time.monotonic() + seconds
    while not there():
        if time.monotonic() > limit:
            return False
        time.sleep(0.5)
    return True


def start_its_superlink(flower: Flower, folder: CoordinatorFolder) -> None:
    start_superlink(
        flower,
        folder.settings.superlink.port,
        ca=folder.ca,
        certificate=folder.server_certificate,
        key=folder.server_certificate,
        database=folder.path / folder.settings.paths.superlink,
        secret=folder.executor_secret,
    )


def start_node(flower: Flower, folder: CoordinatorFolder, node: Path, name: str) -> None:
    """Start Flower's own SuperNode with nothing but what joining has left in the folder."""
    (port,) = free_ports(1)
    secret = node / STATE / "executor.secret"
    secret.write_bytes(bytes(32))
    flower.start(
        name,
        "flower-supernode",
        *("--superlink", f"localhost:{folder.settings.edge.port}"),
        *("--root-certificates", str(node / "ca.crt")),
        *("--auth-supernode-private-key", str(node / "node.key")),
        *("--isolation", "process", "--host", "127.0.0.1", "--port", str(port)),
        *("--superexec-auth-secret-file", str(secret)),
        party=name,
    )
