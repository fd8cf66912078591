"""What an app says when it fails, and what of it leaves: a reason code and nothing else."""

import logging

import pytest
from flwr.app import Context, Error, Message, RecordDict

from client.executor.codes import OTHER, clean_code
from client.executor.executor import WRONG_REPLY
from client.logs import Relay
from common.errors import Refusal
from tests.client.executor.fakes import (
    FakeTask,
    Reports,
    answer,
    executor,
    request,
)

PATIENT = "Erika Mustermann, potassium 4711"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError(PATIENT), "ValueError"),
        (Refusal("no-budget", PATIENT, where=PATIENT, remedy=PATIENT), "no-budget"),
        (Refusal(PATIENT, "x", where="x", remedy="x"), OTHER),
        (type(PATIENT, (Exception,), {})(), OTHER),
        (SystemExit(PATIENT), "SystemExit"),
        (RecursionError(PATIENT), "RecursionError"),
        (KeyError(PATIENT), "KeyError"),
    ],
)
def test_an_exceptions_text_leaves_by_no_door(error: BaseException, code: str) -> None:
    def app(message: Message, context: Context) -> Message:
        raise error from OSError(PATIENT)

    task = FakeTask()
    one, reports = executor([task], app)
    assert one.step()
    assert task.said == [code]
    told = [event for event in reports.events if event.get("text") != str(error)]
    assert PATIENT not in str(told)  # one of our own errors tells its text here, at the hospital
    assert PATIENT not in str(reports.named("refused"))


def test_an_apps_error_reply_is_reduced_to_a_code() -> None:
    def app(message: Message, context: Context) -> Message:
        return Message(Error(4711, PATIENT), reply_to=message)

    assert answer(FakeTask(), app) == OTHER
    named = lambda m, _: Message(Error(2, "wrong-study"), reply_to=m)  # noqa: E731
    assert answer(FakeTask(), named) == "wrong-study"


@pytest.mark.parametrize("reply", [None, PATIENT, RecordDict()])
def test_whatever_is_no_message_is_no_reply(reply: object) -> None:
    assert answer(FakeTask(), lambda *_: reply) == WRONG_REPLY


def test_a_reply_to_somebody_else_is_not_sent() -> None:
    other = request()
    other.metadata.__dict__["_message_id"] = "m2"
    assert answer(FakeTask(), lambda *_: Message(RecordDict(), reply_to=other)) == WRONG_REPLY


def test_a_round_that_is_no_number_is_not_repeated() -> None:
    for group, told in (("12", "12"), ("1\n2", ""), ("9" * 40, ""), (PATIENT, "")):
        one, reports = executor([FakeTask(asked=request(group=group))])
        assert one.step()
        assert reports.events[-1]["round"] == told


def test_an_app_that_logs_an_exception_tells_its_type_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports, logger = Reports(), logging.getLogger("wardround.client")
    monkeypatch.setattr(logger, "handlers", [Relay(reports)])
    try:
        raise ValueError(PATIENT)
    except ValueError as error:
        logger.exception("update failed")
        logger.error("and again: %s", error)
    assert PATIENT not in str(reports.events)
    assert reports.events[0]["error"] == "ValueError"
    assert reports.events[0]["message"] == "update failed"


@pytest.mark.parametrize("text", ["", "a b", "é", "x" * 65, "4711", None, 5, "a\n"])
def test_free_text_is_no_code(text: object) -> None:
    assert clean_code(text) == OTHER
