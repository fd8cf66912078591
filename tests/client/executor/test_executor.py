"""The executor against hostile requests and apps that fail, without Flower's processes."""

import io
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.executor.codes import OTHER
from client.executor.executor import NO_APPROVALS, UNKNOWN, UNSENDABLE, WRONG_BUNDLE
from client.executor.tasks import TaskLost, Unreachable, Unreadable
from common.errors import SettingsError
from common.pace import Pace
from tests.client.executor.fakes import (
    APPROVED,
    BUNDLE,
    NODE,
    RUN,
    FakeTask,
    answer,
    echo,
    executor,
    request,
)

PATIENT = "Erika Mustermann, potassium 4711"


def hostile_bundle(witness: Path) -> bytes:
    """A bundle that would leave a file behind if any of its modules were ever run."""
    code = f"open({str(witness)!r}, 'w').close()\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        for name in ("client/__init__.py", "client/app.py", "planted.py", "sitecustomize.py"):
            bundle.writestr(name, code)
        bundle.writestr("pyproject.toml", '[tool.flwr.app.components]\nclientapp = "planted:app"')
    return packed.getvalue()


def test_an_approved_request_is_answered_by_the_installed_app() -> None:
    task = FakeTask()
    said = answer(task)
    assert isinstance(said, Message)
    assert said.content == task.asked.content


def test_a_wrong_bundle_is_refused_before_its_message_is_read(tmp_path: Path) -> None:
    task = FakeTask(bundle=hostile_bundle(tmp_path / "witness"))
    called: list[Message] = []
    assert answer(task, lambda message, _: called.append(message)) == WRONG_BUNDLE
    assert task.read == 0
    assert not called
    assert "planted" not in sys.modules
    assert not list(tmp_path.iterdir())


def test_an_approved_bundle_is_hashed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    bundle = hostile_bundle(tmp_path / "witness")
    monkeypatch.chdir(tmp_path)
    approved = frozenset({hashlib.sha256(bundle).hexdigest()})
    assert isinstance(answer(FakeTask(bundle=bundle), approved=lambda: approved), Message)
    assert "planted" not in sys.modules
    assert not list(tmp_path.iterdir())


def test_a_withdrawn_approval_counts_for_the_next_request() -> None:
    approvals = [APPROVED, frozenset[str]()]
    first, second = FakeTask(), FakeTask()
    one, _ = executor([first, second], approved=lambda: approvals.pop(0))
    assert one.step()
    assert one.step()
    assert isinstance(first.said[0], Message)
    assert second.said == [WRONG_BUNDLE]


def test_approvals_that_cannot_be_read_approve_nothing() -> None:
    def broken() -> frozenset[str]:
        raise SettingsError("site.toml is gone", where="site.toml", remedy="restore it")

    task = FakeTask()
    one, reports = executor([task], approved=broken)
    assert one.step()
    assert task.read == 0
    assert task.said == [NO_APPROVALS]
    assert "site.toml is gone" in reports.named("failed")[0]["text"]


def test_what_the_app_never_saw_is_written_down_and_a_broken_log_changes_no_refusal() -> None:
    noted: list[tuple[str, int, str]] = []

    def note(*about: Any) -> None:
        noted.append(about)
        if len(noted) > 2:
            raise OSError(PATIENT)

    tasks = [
        FakeTask(bundle=b"other"),
        FakeTask(fails={"message": Unreadable("oversize")}),
        FakeTask(asked=request("train.other")),
        FakeTask(),
    ]
    one, reports = executor(tasks, note=note)
    assert all(one.step() for _ in tasks)
    assert noted == [
        ("train", RUN, WRONG_BUNDLE),
        ("train", RUN, "oversize"),
        (OTHER, RUN, UNKNOWN),
    ]
    assert tasks[2].said == [UNKNOWN]
    assert PATIENT not in str(reports.events)


def test_a_reply_that_cannot_be_written_down_is_refused_by_code() -> None:
    task = FakeTask(fails={"answer": TypeError(PATIENT)})
    assert answer(task) == UNSENDABLE


def test_the_app_sees_the_hospitals_own_config_and_nothing_of_the_coordinators() -> None:
    seen: list[Context] = []

    def app(message: Message, context: Context) -> Message:
        seen.append(context)
        context.state["kept"] = message.content["head"]
        context.node_config["node"] = "/elsewhere"
        return echo(message, context)

    one, _ = executor([FakeTask(), FakeTask()], app)
    assert one.step()
    assert one.step()
    for context in seen:
        assert (context.run_id, context.node_id) == (RUN, NODE)
        assert context.run_config == {}
    assert seen[0].state is not seen[1].state
    fresh: list[Context] = []

    def later(message: Message, context: Context) -> Message:
        fresh.append(context)
        return echo(message, context)

    assert isinstance(answer(FakeTask(), later), Message)
    assert fresh[0].node_config == {"node": "/hospital"}
    assert not fresh[0].state


@pytest.mark.parametrize(
    "kind", ["train.other", "evaluate", "query.hello; rm", "", "system", "train." + "x" * 10_000]
)
def test_an_unknown_message_type_is_refused_unread(kind: str) -> None:
    task = FakeTask(asked=request(kind))
    one, reports = executor([task])
    assert one.step()
    assert task.said == [UNKNOWN]
    assert task.read == 0
    (told,) = reports.named("refused")
    assert told["kind"] == OTHER


@pytest.mark.parametrize("code", ["oversize", "unreadable-message", "incomplete-message"])
def test_a_message_that_cannot_be_read_is_refused_by_code(code: str) -> None:
    assert answer(FakeTask(fails={"message": Unreadable(code)})) == code


def test_a_real_client_app_is_asked_through_its_handlers() -> None:
    app = ClientApp()

    @app.train("update")
    def update(message: Message, context: Context) -> Message:
        return echo(message, context)

    assert isinstance(answer(FakeTask(asked=request("train.update")), app), Message)
    assert answer(FakeTask(asked=request("query.hello")), app) == "ValueError"


@pytest.mark.parametrize("step", ["message", "answer", "refuse"])
@pytest.mark.parametrize("code", ["run-stopped", "task-expired", "connection-lost"])
def test_a_lost_task_is_dropped_and_the_next_is_claimed(step: str, code: str) -> None:
    kind = "train.other" if step == "refuse" else "train"
    lost, following = FakeTask(request(kind), fails={step: TaskLost(code)}), FakeTask()
    one, reports = executor([lost, following])
    assert one.step()
    assert one.step()
    assert reports.named("dropped")[0]["code"] == code
    assert not lost.said
    assert lost.closed == 1
    assert isinstance(following.said[0], Message)


def test_a_task_that_is_lost_while_claimed_or_breaks_the_adapter_ends_nothing() -> None:
    following = FakeTask()
    errors = [TaskLost("task-expired"), Unreachable("secret-refused"), ValueError(PATIENT), None]
    one, reports = executor([*errors, following])
    assert [one.step() for _ in range(5)] == [False, False, False, False, True]
    assert [e.get("code") for e in reports.events[:3]] == [
        "task-expired",
        "secret-refused",
        "broken-task",
    ]
    assert PATIENT not in str(reports.events)
    assert isinstance(following.said[0], Message)


def test_ten_thousand_queued_requests_are_handled_one_by_one_in_bounded_memory() -> None:
    asked = request()
    counts = {"answered": 0, "refused": 0}

    def tasks() -> Iterator[FakeTask]:
        for number in range(10_000):
            yield FakeTask(asked=asked, bundle=BUNDLE if number % 2 else b"x" * 10_000)

    def count(event: str, **fields: object) -> None:
        counts[event] += 1

    one, _ = executor(tasks(), report=count)
    for _ in range(500):
        one.step()
    tracemalloc.start()
    while one.step():
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts == {"answered": 5_000, "refused": 5_000}
    assert peak < 2_000_000


def test_it_claims_at_once_when_busy_and_ever_more_rarely_when_idle() -> None:
    waits: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            if len(waits) == 60:
                self.set()
            return self.is_set()

    one, _ = executor([FakeTask(), FakeTask(), None, FakeTask()], pace=Pace(0.2, 2.0))
    one.serve(Stopping())
    assert waits[:3] == [0.2, 0.2, 0.2]  # between the tasks, and after the last
    assert waits[-1] == 2.0
