"""What the service believes of its children, and when it gives up."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.executor.events import MAX_LINE, Events, read_events
from client.executor.gauges import Gauges
from client.executor.hearing import Hearing
from client.executor.notify import notify
from client.executor.place import Place, open_place
from client.executor.status import Status
from client.executor.troubles import BAD_CERTIFICATE, REFUSED, UNKNOWN_NODE, Troubles
from client.logs import LOG_FILE, open_log
from common.errors import SettingsError
from tests.client.executor.conftest import alive
from tests.e2e.conftest import free_ports

PATIENT = "Erika Mustermann 4711"
REQUEST = {"kind": "train.update", "round": "3", "seconds": 0.5}


@pytest.fixture
def place(folder: Path) -> Place:
    (folder / "state").mkdir()
    return open_place(folder)


@pytest.fixture
def hearing(place: Place) -> Hearing:
    log = open_log(place.state, level="debug")
    status = Status(1, ("supernode", "executor"), 0.0)
    return Hearing(status, log, Gauges(0), Troubles(place))


def status_of(hearing: Hearing) -> Status:
    return hearing._status


def lines(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place.state / LOG_FILE).read_text().splitlines()]


def test_counts_and_log_follow_the_executors_events(hearing: Hearing, place: Place) -> None:
    hearing.take("supernode", {"event": "up"})
    hearing.take("executor", {"event": "ready"})
    assert hearing.started()
    hearing.take("executor", {"event": "answered", "code": "", **REQUEST})
    hearing.take("executor", {"event": "refused", "code": "wrong-bundle", **REQUEST})
    hearing.take("executor", {"event": "dropped", "code": "run-stopped"})
    status = status_of(hearing)
    assert (status.answered, status.refused, status.last_round) == (1, {"wrong-bundle": 1}, "3")
    assert status.last_error == "wrong-bundle"
    assert status.dropped == {"run-stopped": 1}
    assert [(e["event"], e["level"]) for e in lines(place)[-3:]] == [
        ("request answered", "info"),
        ("request refused", "warning"),
        ("request lost", "warning"),
    ]


def test_a_part_says_only_what_is_its_to_say(hearing: Hearing) -> None:
    hearing.take("supernode", {"event": "answered", "code": "", **REQUEST})
    hearing.take("supernode", {"event": "ready"})
    hearing.take("executor", {"event": "contact"})
    hearing.take("executor", {"event": "no_such_thing"})
    status = status_of(hearing)
    assert (status.answered, status.ready, status.contact) == (0, False, 0.0)


@pytest.mark.parametrize(
    "event",
    [
        {"event": "refused"},
        {"event": "answered", "seconds": "x", "kind": 1, "round": ""},
        {"event": "trouble", "code": PATIENT},
        {"event": "trouble", "code": ["x"]},
        {"event": "line"},
        {"event": "log", "level": "no", "message": "m"},
    ],
)
def test_garbage_from_a_child_ends_nothing_and_no_free_text_becomes_a_code(
    hearing: Hearing, place: Place, event: dict[str, Any]
) -> None:
    for part in ("supernode", "executor"):
        hearing.take(part, event)
    assert PATIENT not in str(status_of(hearing))
    assert PATIENT not in (place.state / LOG_FILE).read_text()


def test_trouble_is_told_once_and_contact_ends_it(hearing: Hearing, place: Place) -> None:
    for _ in range(5):
        hearing.take("supernode", {"event": "trouble", "code": "no-connection"})
    assert status_of(hearing).trouble == "no-connection"
    hearing.take("supernode", {"event": "contact"})
    hearing.take("supernode", {"event": "contact"})
    assert status_of(hearing).trouble == ""
    assert [e["event"] for e in lines(place)] == [
        "no connection to the coordinator",
        "connected to the coordinator",
    ]


def test_a_refused_node_is_tried_for_more_than_a_minute_and_then_given_up(place: Place) -> None:
    troubles = Troubles(place)
    for second in range(0, 100, 10):
        assert "up to 60 s" in troubles.judge(UNKNOWN_NODE, float(second), joined=False)
    with pytest.raises(SettingsError, match=r"does not know this node's key.*node\.key\.pub"):
        troubles.judge(UNKNOWN_NODE, 101.0, joined=False)


def test_after_contact_the_minute_begins_again_and_a_joined_node_is_never_given_up(
    place: Place,
) -> None:
    troubles = Troubles(place)
    troubles.judge(UNKNOWN_NODE, 0.0, joined=False)
    troubles.contact()
    assert troubles.judge(UNKNOWN_NODE, 500.0, joined=False)
    assert troubles.judge(UNKNOWN_NODE, 5000.0, joined=True)
    assert troubles.judge(BAD_CERTIFICATE, 0.0, joined=True)
    assert "no-connection" in troubles.judge("no-connection", 0.0, joined=False)


def test_what_a_person_must_mend_is_said_at_once(place: Place) -> None:
    with pytest.raises(SettingsError, match=r"not of the CA.*ca\.crt"):
        Troubles(place).judge(BAD_CERTIFICATE, 0.0, joined=False)
    troubles = Troubles(place, patience_s=0)
    troubles.judge(REFUSED, 0.0, joined=False)
    with pytest.raises(SettingsError, match="clock"):
        troubles.judge(REFUSED, 1.0, joined=False)


def test_flowers_exit_code_is_read_from_its_log(hearing: Hearing) -> None:
    hearing.take("supernode", {"event": "line", "text": "ERROR : Exit Code: 606"})
    with pytest.raises(SettingsError, match="another version of flwr"):
        hearing._troubles.judge("", 0.0, joined=True)
    hearing.take("supernode", {"event": "up"})
    assert hearing._troubles.judge("", 0.0, joined=True)


def test_a_mistake_that_the_executor_calls_permanent_is_raised(hearing: Hearing) -> None:
    hearing.take("executor", {"event": "fatal", "permanent": False, "error": "OSError"})
    hearing.raise_fatal()
    about = {"event": "fatal", "permanent": True, "error": "SettingsError", "text": "flwr 2.0"}
    hearing.take("executor", about)
    with pytest.raises(SettingsError, match=r"flwr 2\.0"):
        hearing.raise_fatal()


def test_events_are_lines_and_garbage_between_them_is_passed_over() -> None:
    read, write = os.pipe()
    events = Events(write)
    events.send("first", number=1)
    os.write(write, b"no json\n[1]\n{}\n\xff\n" + b"x" * (MAX_LINE * 2 + 5) + b"\n")
    events.send("long", text="y" * MAX_LINE)
    events.send("last")
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        heard = list(read_events(stream))
    assert [e["event"] for e in heard] == ["first", "long", "last"]
    assert heard[1] == {"event": "long", "cut": True}


def test_a_reader_that_is_gone_is_not_waited_for() -> None:
    read, write = os.pipe()
    os.close(read)
    Events(write).send("nobody hears")
    os.close(write)


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
        "import signal, time; from client.executor.lifeline import hold_lifeline\n"
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
        "import signal, time; from client.executor.lifeline import hold_lifeline;"
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
