"""The service's own loop, with children that are no processes."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.executor import child, service
from client.executor.gauges import Gauges
from client.executor.place import PARTS, holding, open_place, prepare
from client.executor.service import Service
from client.executor.status import Status, summary
from client.logs import open_log
from common.errors import SettingsError
from common.processes.child import Hear

Make = Callable[..., tuple[Service, dict[str, "FakeChild"]]]
REQUEST = {"kind": "train.update", "round": "3", "seconds": 0.5}


class FakeChild:
    """A child whose life the test decides."""

    def __init__(self, name: str, hear: Hear) -> None:
        self.name, self.hear, self.pid, self.starts, self.heard = name, hear, 0, 0, 0.0
        self.ends: list[int] = []
        self.did: list[str] = []

    def say(self, event: str, **fields: Any) -> None:
        self.hear(self.name, {"event": event, **fields})

    def mend(self) -> None:
        if not self.pid:
            self.starts, self.pid, self.heard = self.starts + 1, 100 + self.starts, 1e12

    def ended(self) -> int | None:
        if not self.ends:
            return None
        self.pid = 0
        return self.ends.pop()

    def hurry(self, seconds: float) -> None:
        self.did.append("hurried")

    def well(self) -> None:
        self.did.append("well")

    def ask(self) -> None:
        self.did.append("asked")
        self.ends.append(0)

    def kill(self) -> None:
        self.did.append("killed")
        self.pid = 0


@pytest.fixture
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a service with fake children; it runs until a script of the test has run through."""

    def build(*script: Callable[[dict[str, FakeChild]], object]) -> Any:
        fakes: dict[str, FakeChild] = {}

        def fake(name: str) -> Callable[..., FakeChild]:
            def started(place: object, port: int, hear: Hear, *_: object) -> FakeChild:
                fakes[name] = FakeChild(name, hear)
                return fakes[name]

            return started

        for name in PARTS:
            monkeypatch.setattr(child, name, fake(name))
        place, steps = open_place(folder), iter(script)
        prepare(place, PARTS)
        log = open_log(place.state)
        one = Service(place, PARTS, log, Gauges(0), wiring="none", patience_s=100)
        listen = one._listen

        def stepping(seconds: float) -> None:
            step = next(steps, None)
            if step is None:
                one.stopping.set()
            else:
                step(fakes)
            listen(0.02)

        monkeypatch.setattr(one, "_listen", stepping)
        return one, fakes

    return build


def test_it_is_ready_and_connected_once_both_have_said_so(make: Make, folder: Path) -> None:
    seen: list[dict[str, Any]] = []
    one: Service

    def look(_: object) -> None:
        seen.append(summary(folder))

    one, fakes = make(
        lambda c: c["supernode"].say("up"),
        lambda c: (c["executor"].say("ready"), c["supernode"].say("contact")),
        lambda c: c["executor"].say("answered", code="", **REQUEST),
        lambda _: setattr(one._hearing, "_shown", 0.0),
        look,
    )
    with holding(folder / "state", PARTS):
        one.run()
    assert seen[0]["state"] == "connected"
    assert seen[0]["answered"] == 1
    assert [c.did for c in fakes.values()] == [["well", "asked", "killed"]] * 2
    assert not (folder / "state" / "status.json").exists()


def test_a_disk_that_is_full_ends_nothing_and_is_said_once(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WRITTEN_S", -1.0)  # a status is due at each turn
    seen: list[bool] = []
    write = Status.write

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "a disk's own words")

    one, fakes = make(
        lambda _: monkeypatch.setattr(Status, "write", full),
        lambda _: None,
        lambda _: monkeypatch.setattr(Status, "write", write),
        lambda _: None,
        lambda _: seen.append((folder / "state/status.json").exists()),
    )
    one.run()
    assert seen == [True]
    assert [each.starts for each in fakes.values()] == [1, 1]
    said = (folder / "state/node.log").read_text()
    assert said.count("the status cannot be written") == 1
    assert "No space left on device" in said


def test_what_ends_is_started_again(make: Make) -> None:
    one, fakes = make(
        lambda c: c["executor"].ends.append(-9),
        lambda c: c["supernode"].ends.append(1),
        lambda _: None,
        lambda _: None,
        lambda _: None,
    )
    one.run()
    assert {name: each.starts for name, each in fakes.items()} == {"supernode": 2, "executor": 2}


def test_a_refused_node_asks_again_soon(make: Make) -> None:
    _, fakes = made = make(
        lambda c: c["supernode"].say("trouble", code="node-refused"),
        lambda c: c["supernode"].ends.append(1),
        lambda _: None,
    )
    made[0].run()
    assert fakes["supernode"].did[0] == "hurried"


@pytest.mark.parametrize("part", PARTS)
def test_a_frozen_part_is_ended_and_comes_back(make: Make, part: str) -> None:
    one, fakes = make(
        lambda c: c["executor"].say("ready"),
        lambda c: setattr(c[part], "heard", -1e9),
        lambda _: None,
        lambda _: None,
    )
    one.run()
    assert fakes[part].did.count("killed") == 2
    assert fakes[part].starts == 2


def test_loading_its_libraries_is_no_freezing(make: Make) -> None:
    one, fakes = make(lambda c: setattr(c["executor"], "heard", -1e9), lambda _: None)
    one.run()
    assert fakes["executor"].starts == 1


def test_a_mistake_that_a_person_must_mend_ends_everything(make: Make) -> None:
    about = {"permanent": True, "error": "SettingsError", "text": "flwr 2.0 is installed"}
    one, fakes = make(
        lambda c: c["executor"].say("fatal", **about), lambda c: c["executor"].ends.append(1)
    )
    with pytest.raises(SettingsError, match=r"flwr 2\.0 is installed"):
        one.run()
    assert fakes["supernode"].did == ["asked", "killed"]


def test_the_last_request_is_waited_for_while_its_process_talks(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SEND_S", 0.01)
    one, fakes = make(lambda c: c["executor"].say("ready"))
    executor = fakes["executor"]
    monkeypatch.setattr(executor, "ask", lambda: threading.Timer(0.3, finish).start())

    def finish() -> None:
        executor.say("answered", code="", **REQUEST)
        executor.ends.append(0)

    one.run()
    assert one._status.answered == 1
