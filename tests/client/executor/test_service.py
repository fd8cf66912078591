"""The service with its real processes, and nobody at the coordinator's address."""

import os
import random
import re
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.executor.conftest import Running, alive, write_site_file
from tests.coordinating import free_ports
from tests.importing import modules_after

Start = Callable[..., Running]


def test_it_starts_both_says_so_and_ends_both_within_ten_seconds(
    service: Start, folder: Path
) -> None:
    running = service()
    running.wait(running.ready)
    pids = running.pids()
    assert running.status["state"] == "not connected"
    environment = Path(f"/proc/{pids['supernode']}/environ").read_bytes()
    assert b"canary" not in environment, "the SuperNode sees nothing of the data's settings"
    assert b"FLWR_TELEMETRY_ENABLED=0" in environment
    assert os.readlink(f"/proc/{pids['supernode']}/cwd") == str(folder / "state/supernode/empty")
    limits = Path(f"/proc/{pids['executor']}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits), "a crash dump would hold patients"
    assert stat.S_IMODE((folder / "state/supernode/runtime.secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "state/node.log").stat().st_mode) == 0o600
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=12) == 0
    assert time.monotonic() - began < 10
    assert not any(alive(pid) for pid in pids.values())
    assert running.status["state"] == "not running"


def test_a_second_start_on_the_folder_is_refused_and_harms_nothing(service: Start) -> None:
    first = service()
    first.wait(first.ready)
    before = first.pids()
    second = service()
    _, said = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert "runs on this folder already" in said
    assert first.pids() == before
    assert all(alive(pid) for pid in before.values())


def test_killed_parts_come_back_and_a_killed_parent_leaves_nobody(service: Start) -> None:
    chance = random.Random(11)
    running = service()
    running.wait(running.ready)
    for part in ("executor", "supernode"):
        pids = running.pids()
        time.sleep(chance.random())
        os.kill(pids[part], signal.SIGKILL)
        running.wait(lambda part=part, pids=pids: running.pids()[part] not in (0, pids[part]))  # type: ignore[misc]
        running.wait(running.ready)
    pids = running.pids()
    running.process.kill()
    running.wait(lambda: not any(alive(pid) for pid in pids.values()), seconds=12)
    again = service()
    again.wait(again.ready)
    assert again.process.poll() is None


def test_the_parts_run_apart_and_find_each_other(service: Start, folder: Path) -> None:
    address, (port,) = "127.0.0.1:9", free_ports(1)
    write_site_file(folder, coordinator={"address": address}, service={"runtime_port": port})
    executor = service("executor")  # first: it waits for the other, and for the secret
    network = service("supernode")
    network.wait(lambda: not network.status["missing"] and executor.status["ready"])
    log = (folder / "state/node.log").read_text()
    assert "patients" not in (folder / "state/supernode/node.log").read_text() + log
    for each in (executor, network):
        each.process.send_signal(signal.SIGTERM)
        assert each.process.wait(timeout=12) == 0


def test_a_folder_that_is_not_complete_is_refused_with_a_cure(folder: Path) -> None:
    from client.executor.place import open_place
    from common.errors import SettingsError

    (folder / "node.key").chmod(0o644)
    with pytest.raises(SettingsError, match=r"can be read by others .*chmod 600"):
        open_place(folder)
    (folder / "node.key").unlink()
    with pytest.raises(SettingsError, match=r"no file node\.key"):
        open_place(folder)
    write_site_file(folder, coordinator={"address": "somewhere"})
    with pytest.raises(SettingsError, match=r"not host:port"):
        open_place(folder)
    (folder / "site.toml").unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        open_place(folder)


def test_a_key_that_flower_cannot_read_is_a_mistake_that_ends_the_service(
    service: Start, folder: Path
) -> None:
    (folder / "node.key").write_text("no key")
    _, said = service().process.communicate(timeout=40)
    assert "no EC key in OpenSSH format" in said


def test_a_ca_file_without_certificate_ends_the_service(service: Start, folder: Path) -> None:
    (folder / "ca.crt").write_text("no certificate")
    _, said = service().process.communicate(timeout=40)
    assert "not of the CA that you were given" in said


def test_parts_that_run_apart_need_an_agreed_port(folder: Path) -> None:
    from client.executor.place import open_place, runtime_port
    from common.errors import SettingsError

    place = open_place(folder)
    with pytest.raises(SettingsError, match="no port is agreed"):
        runtime_port(place, ("supernode",))
    assert runtime_port(place, ("supernode", "executor")) > 0


def test_parts_in_containers_of_their_own_meet_at_the_address_that_both_are_given(
    folder: Path,
) -> None:
    from client.executor import child
    from client.executor.place import open_place, runtime_port
    from common.errors import SettingsError

    place = open_place(folder, "runtime:9094")
    port = runtime_port(place, ("supernode",))
    listens = child.supernode(place, port, print)._command
    assert listens[-4:] == ["--host", "runtime", "--port", "9094"]
    assert "runtime:9094" in child.executor(place, port, print, "wiring")._command
    with pytest.raises(SettingsError, match="'runtime' is not host:port"):
        open_place(folder, "runtime")


def test_the_commands_import_nothing_heavy() -> None:
    heavy = {"torch", "flwr", "pydantic", "structlog", "prometheus_client", "numpy", "pandas"}
    assert not heavy & modules_after("import client.executor.commands")


def test_the_service_itself_has_neither_flower_nor_torch_nor_patients() -> None:
    modules = modules_after("import client.executor.service")
    assert not {"torch", "flwr", "pandas", "httpx"} & modules
