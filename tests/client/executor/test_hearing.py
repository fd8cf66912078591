"""What the service believes of its children, and when it gives up."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from client.executor.gauges import Gauges
from client.executor.hearing import Hearing
from client.executor.place import Place, open_place
from client.executor.status import Status
from client.executor.troubles import BAD_CERTIFICATE, REFUSED, UNKNOWN_NODE, Troubles
from client.logs import LOG_FILE, open_log
from common.errors import SettingsError
from common.processes.events import MAX_LINE, Events, read_events

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
    assert not troubles.passing(400.0)
    assert troubles.judge(UNKNOWN_NODE, 500.0, joined=False)
    assert troubles.passing(599.0)
    assert not troubles.passing(601.0)
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
