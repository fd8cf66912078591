"""What a hospital's ClientApp answers: an update, or a reason code; never a patient's value."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import app
from common.learner import make_learner
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
from common.study import Study, read_study
from tests.hospital import hospital

SECRET = "483.7"


@pytest.fixture
def study(wards: Callable[..., dict[str, Any]]) -> Study:
    return read_study(Path(wards()["study"]))


@pytest.fixture
def context(wards: Callable[..., dict[str, Any]], study: Study, tmp_path: Path) -> Context:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    table = pd.read_csv(wards()["data"])
    ash = table[table["site"] == "Ash"].drop(columns="site")
    node = hospital(tmp_path / "ash", study, ash, name="Ash")
    return Context(run_id=1, node_id=1, node_config=node, state=RecordDict(), run_config={})


def ask(content: RecordDict, message_type: str, context: Context) -> Message:
    message = Message(content, 1, message_type)
    message.metadata.__dict__["_message_id"] = "m"
    return app(message, context)


def instruction(study: Study, index: int = 1, claimed: str = "") -> RecordDict:
    theta = flatten(make_learner(study, seed=0).initial)
    return instruction_content(Instruction(claimed or study.id, index, theta))


def test_hello_says_name_and_study(context: Context, study: Study) -> None:
    greeting = read_greeting(ask(hello_request(study.id), HELLO_TYPE, context).content)
    assert (greeting.site, greeting.study) == ("Ash", study.id)


def test_the_answer_is_an_update_that_depends_on_the_round_and_repeats_itself(
    context: Context, study: Study
) -> None:
    dim = make_learner(study, seed=0).dim
    updates = []
    for index in (1, 1, 2):
        reply = ask(instruction(study, index), UPDATE_TYPE, context)
        read = read_update(reply.content, study=study.id, round_index=index, dim=dim, max_norm=1e4)
        updates.append(read)
    assert torch.equal(updates[0], updates[1])
    assert not torch.equal(updates[0], updates[2])


def test_another_studys_instruction_is_refused(context: Context, study: Study) -> None:
    reply = ask(instruction(study, claimed="0" * 64), UPDATE_TYPE, context)
    assert reply.error.reason == "not-approved"


def test_a_malformed_instruction_is_refused(context: Context, study: Study) -> None:
    assert ask(RecordDict(), UPDATE_TYPE, context).error.reason == "not-approved"
    surplus = instruction(study)
    surplus["more"] = ConfigRecord({"rows": 1})
    assert ask(surplus, UPDATE_TYPE, context).error.reason == "wrong-schema"


def test_a_failure_sends_its_kind_only_and_no_value_of_a_patient(
    context: Context, study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ash" / "patients.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[0, "age"] = f"{SECRET} years"
    table.to_csv(path, index=False)
    with caplog.at_level(logging.DEBUG):
        reply = ask(hello_request(study.id), HELLO_TYPE, context)
    assert reply.error.reason == "TableError"
    assert SECRET not in repr(reply.error)
    assert SECRET not in caplog.text
