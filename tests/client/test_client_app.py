"""What a hospital's ClientApp answers: an update, or a reason code; never a patient's value."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import app
from client.site import open_site
from common.messages import (
    HELLO_TYPE,
    UPDATE_TYPE,
    Instruction,
    hello_request,
    instruction_content,
    read_greeting,
    read_update,
)
from common.parameters import flatten

SECRET = "483.7"


@pytest.fixture
def context(wards: Callable[..., dict[str, Any]], tmp_path: Path) -> Context:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    settings = wards()
    table = pd.read_csv(settings["data"])
    table[table["site"] == "Ash"].drop(columns="site").to_csv(tmp_path / "ash.csv", index=False)
    node = {
        "study": settings["study"],
        "data": str(tmp_path / "ash.csv"),
        "site": "Ash",
        "state": str(tmp_path / "state"),
        "unprotected": True,
    }
    return Context(run_id=1, node_id=1, node_config=dict(node), state=RecordDict(), run_config={})


def ask(content: RecordDict, message_type: str, context: Context) -> Message:
    message = Message(content, 1, message_type)
    message.metadata.__dict__["_message_id"] = "m"
    return app(message, context)


def instruction(context: Context, index: int = 1, study: str = "") -> RecordDict:
    opened = open_site(context.node_config, {})
    theta = flatten(opened.learner.initial)
    return instruction_content(Instruction(study or opened.study.id, index, theta))


def test_hello_says_name_and_study(context: Context) -> None:
    greeting = read_greeting(ask(hello_request(), HELLO_TYPE, context).content)
    assert greeting.site == "Ash"
    assert greeting.study == open_site(context.node_config, {}).study.id


def test_the_answer_is_an_update_that_depends_on_the_round_and_repeats_itself(
    context: Context,
) -> None:
    study, _, learner, _ = open_site(context.node_config, {})
    updates = []
    for index in (1, 1, 2):
        reply = ask(instruction(context, index), UPDATE_TYPE, context)
        read = read_update(
            reply.content, study=study.id, round_index=index, dim=learner.dim, max_norm=1e4
        )
        updates.append(read)
    assert torch.equal(updates[0], updates[1])
    assert not torch.equal(updates[0], updates[2])


def test_another_studys_instruction_is_refused(context: Context) -> None:
    reply = ask(instruction(context, study="0" * 64), UPDATE_TYPE, context)
    assert reply.error.reason == "wrong-study"


def test_a_malformed_instruction_is_refused(context: Context) -> None:
    assert ask(RecordDict(), UPDATE_TYPE, context).error.reason == "wrong-schema"


def test_a_failure_sends_its_kind_only_and_no_value_of_a_patient(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ash.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[0, "age"] = f"{SECRET} years"
    table.to_csv(path, index=False)
    with caplog.at_level(logging.CRITICAL):
        reply = ask(hello_request(), HELLO_TYPE, context)
    assert reply.error.reason == "TableError"
    assert SECRET not in repr(reply.error)
