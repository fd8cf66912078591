"""What ties the service to its children, to systemd and to Prometheus."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.executor.gauges import Gauges
from client.executor.notify import notify
from client.executor.status import Status
from common.errors import SettingsError
from tests.client.executor.conftest import alive
from tests.coordinating import free_ports

PATIENT = "Erika Mustermann 4711"
REQUEST = {"kind": "train.update", "round": "3", "seconds": 0.5}


def test_metrics_are_offered_on_loopback_only() -> None:
    (port,) = free_ports(1)
    gauges = Gauges(port)
    try:
        gauges.request("", 0.2)
        gauges.request("wrong-bundle", 0.1)
        for number in range(200):
            gauges.request(f"code-{number}", 0.1)
        gauges.show(Status(1, ("executor",), 0.0, contact=9.0, starts={"executor": 2}), 10.0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        assert 'wardround_requests_total{code="answered"} 1.0' in text
        assert 'wardround_requests_total{code="wrong-bundle"} 1.0' in text
        assert text.count("wardround_requests_total{") < 70
        assert "wardround_connected 1.0" in text
        assert 'wardround_starts{part="executor"} 2.0' in text
        listening = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X}" in listening
        with pytest.raises(SettingsError, match="metrics cannot be offered"):
            Gauges(port)
    finally:
        gauges.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(5)
        yield str(tmp_path / "notify"), line


def test_systemd_is_told_if_it_has_started_us(
    listener: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, line = listener
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
    assert line.recv(100) == b"READY=1"
    for elsewhere in ("", "/nowhere/at/all", "host:80"):
        monkeypatch.setenv("NOTIFY_SOCKET", elsewhere)
        notify("READY=1")


def test_a_child_that_takes_its_leave_is_asked_once(tmp_path: Path) -> None:
    script = (
        "import signal, time; from common.processes.lifeline import hold_lifeline\n"
        f"def leave(*_): open({str(tmp_path / 'left')!r}, 'a').write('x'); time.sleep(0.5)\n"
        "signal.signal(signal.SIGTERM, leave); hold_lifeline(signal.SIGTERM, grace_s=1)\n"
        "print('held', flush=True); time.sleep(60); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        child.stdin.close()
        assert child.wait(timeout=10) == -signal.SIGKILL
    assert (tmp_path / "left").read_text() == "x"


@pytest.mark.parametrize("way", ["pipe", "kill"])
def test_a_child_does_not_outlive_its_parent(way: str) -> None:
    script = (
        "import signal, time; from common.processes.lifeline import hold_lifeline;"
        "hold_lifeline(signal.SIGKILL, grace_s=0); print('held', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', "
        f"{script!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE); child.stdout.readline();"
        "print(child.pid, flush=True); sys.stdin.readline(); child.stdin.close(); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        child = int(process.stdout.readline())
        assert alive(child)
        if way == "kill":
            process.send_signal(signal.SIGKILL)
        else:
            process.stdin.write(b"\n")
            process.stdin.flush()
        for _ in range(100):
            if not alive(child):
                break
            signal.sigtimedwait([], 0.05)
        assert not alive(child)
        process.kill()
