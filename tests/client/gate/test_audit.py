"""The audit log: a line for everything that passes the door, and no line that can be altered."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import app
from client.gate.audit import AuditLog, open_audit
from common.errors import PrivacyError
from common.learner import make_learner
from common.messages import (
    HELLO_TYPE,
    UPDATE_TYPE,
    Instruction,
    hello_request,
    instruction_content,
)
from common.messages.wire import wire_digest, wire_size
from common.parameters import flatten
from common.study import Study
from tests.hospital import hospital

CANARY = "zeta-9137"


@pytest.fixture
def context(tmp_path: Path, study: Study, table: pd.DataFrame) -> Context:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    table.loc[3, "patient_id"] = CANARY
    node = hospital(tmp_path / "ash", study, table, name="Ash")
    return Context(run_id=1, node_id=1, node_config=node, state=RecordDict(), run_config={})


def ask(content: RecordDict, message_type: str, context: Context) -> Message:
    message = Message(content, 1, message_type)
    message.metadata.__dict__["_message_id"] = "m"
    return app(message, context)


def state(context: Context) -> Path:
    return Path(str(context.node_config["node"])) / "state"


def lines(context: Context) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state(context) / "audit.jsonl").read_text().splitlines()]


def instruction(study: Study, index: int = 1) -> RecordDict:
    theta = flatten(make_learner(study, seed=0).initial)
    return instruction_content(Instruction(study.id, index, theta))


def test_what_comes_in_and_what_goes_out_is_written_with_its_hash(
    context: Context, study: Study
) -> None:
    asked = instruction(study)
    reply = ask(asked, UPDATE_TYPE, context)
    approved, received, sent = lines(context)
    assert (approved["kind"], approved["study"]) == ("approved", study.id)
    assert received | {"kind": "received", "message": UPDATE_TYPE, "study": study.id} == received
    assert (received["bytes"], received["sha256"]) == (wire_size(asked), wire_digest(asked))
    assert sent["kind"] == "sent"
    assert (sent["bytes"], sent["sha256"]) == (
        wire_size(reply.content),
        wire_digest(reply.content),
    )


def test_a_refusal_is_written_with_its_reason_and_only_its_code_leaves(context: Context) -> None:
    reply = ask(hello_request("f" * 64), HELLO_TYPE, context)
    assert reply.error.reason == "not-approved"
    refused = lines(context)[-1]
    assert (refused["kind"], refused["code"]) == ("refused", "not-approved")
    assert "not approved here" in refused["reason"]


def test_a_line_is_on_the_disk_before_the_reply_leaves(
    context: Context, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: AuditLog, kind: str, fields: dict[str, Any]) -> None:
        raise PrivacyError("the disk is full", where="audit", remedy="make room")

    monkeypatch.setattr(AuditLog, "note", full)
    reply = ask(instruction(study), UPDATE_TYPE, context)
    assert reply.has_error()
    assert reply.error.reason == "PrivacyError"


@pytest.mark.parametrize("harm", ["edit", "drop", "truncate", "reorder"])
def test_an_altered_log_is_told_by_its_line_and_stops_the_node(
    harm: str, context: Context, study: Study
) -> None:
    for index in (1, 2):
        ask(instruction(study, index), UPDATE_TYPE, context)
    path = state(context) / "audit.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    if harm == "edit":
        whole[2] = whole[2].replace(b'"kind":"sent"', b'"kind":"spent"')
    elif harm == "drop":
        del whole[2]
    elif harm == "truncate":
        whole = whole[:-1]
    else:
        whole[1], whole[2] = whole[2], whole[1]
    path.write_bytes(b"".join(whole))
    number = {"edit": 3, "drop": 3, "truncate": 5, "reorder": 2}[harm]
    with pytest.raises(PrivacyError, match=f"audit log is damaged.*line {number}"):
        AuditLog.open(state(context))
    open_audit.cache_clear()
    assert ask(instruction(study, 2), UPDATE_TYPE, context).has_error()


def test_a_ledgers_lines_do_not_pass_for_an_audit_log(context: Context) -> None:
    (state(context) / "audit.jsonl").write_bytes((state(context) / "ledger.jsonl").read_bytes())
    with pytest.raises(PrivacyError, match="line 1"):
        AuditLog.open(state(context))


def test_no_value_of_a_patient_is_in_the_log_whatever_goes_wrong(
    context: Context, study: Study, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise ValueError(f"cannot convert {CANARY}")

    with caplog.at_level(logging.DEBUG):
        ask(instruction(study), UPDATE_TYPE, context)
        monkeypatch.setattr("client.app.release", fails)
        reply = ask(instruction(study, 2), UPDATE_TYPE, context)
    assert reply.error.reason == "ValueError"
    assert lines(context)[-1]["reason"] == "ValueError"
    assert CANARY not in caplog.text
    for path in state(context).rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path


def test_long_texts_from_outside_are_cut_short(context: Context) -> None:
    ask(hello_request("x" * 5000), HELLO_TYPE, context)
    assert all(len(line["study"]) <= 200 for line in lines(context)[1:])
