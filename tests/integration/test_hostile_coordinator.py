"""A coordinator that tries everything at a hospital's real client, and gets nothing for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.app import app
from common.learner import make_learner
from common.messages import (
    HELLO_TYPE,
    UPDATE_TYPE,
    Instruction,
    instruction_content,
    read_update,
)
from common.messages.purposes import UPDATES
from common.parameters import flatten
from common.study import Study
from tests.client.gate.conftest import changed, study, table
from tests.hospital import hospital, write_study

__all__ = ["study", "table"]
CANARY = "omega-5512"
ROUNDS = 2


@pytest.fixture
def node(tmp_path: Path, study: Study, table: pd.DataFrame) -> Path:
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    table.loc[0, "patient_id"] = CANARY
    return Path(hospital(tmp_path / "ash", study, table, name="Ash")["node"])


def ask(
    node: Path, content: RecordDict, message_type: str = UPDATE_TYPE, *, run: Any = None
) -> Message:
    message = Message(content, 1, message_type)
    message.metadata.__dict__["_message_id"] = "m"
    context = Context(1, 1, {"node": str(node)}, RecordDict(), run or {})
    return app(message, context)


def asked(study: Study, index: int = 1, shift: float = 0.0) -> RecordDict:
    theta = flatten(make_learner(study, seed=0).initial)
    return instruction_content(Instruction(study.id, index, theta + shift))


def debits(node: Path) -> int:
    lines = (node / "state" / "ledger.jsonl").read_text().splitlines()
    return sum(json.loads(line)["kind"] == "gradient" for line in lines)


def code(reply: Message) -> str:
    return reply.error.reason or "" if reply.has_error() else "answered"


def test_ten_thousand_rounds_are_answered_as_often_as_was_reserved(
    node: Path, study: Study
) -> None:
    codes = [code(ask(node, asked(study, index))) for index in (*range(1, 12), 10_000)]
    assert codes[:ROUNDS] == ["answered"] * ROUNDS
    assert set(codes[ROUNDS:]) == {"PrivacyError"}
    assert debits(node) == ROUNDS


def test_a_replay_brings_the_same_bytes_and_a_changed_one_nothing(node: Path, study: Study) -> None:
    dim = make_learner(study, seed=0).dim
    replies = [ask(node, asked(study)) for _ in range(3)]
    vectors = [
        read_update(r.content, study=study.id, round_index=1, dim=dim, max_norm=1e9)
        for r in replies
    ]
    assert all(torch.equal(vectors[0], other) for other in vectors[1:])
    assert debits(node) == 1
    assert code(ask(node, asked(study, shift=1e-3))) == "PrivacyError"
    assert debits(node) == 1


def test_a_study_of_looser_settings_under_the_same_name_is_not_known_here(
    node: Path, study: Study
) -> None:
    looser = changed(privacy=study.privacy.model_dump() | {"noise_multiplier": 0.01})
    write_study(node / "study.toml", looser)  # even if its file lies in the node's folder
    assert code(ask(node, asked(looser))) == "not-approved"
    assert debits(node) == 0


def test_run_settings_of_the_coordinator_change_nothing(node: Path, study: Study) -> None:
    theirs = {"study": "/etc/passwd", "data": "/etc", "noise_multiplier": 0.0, "seed": 7}
    one, two = ask(node, asked(study), run=theirs), ask(node, asked(study))
    assert one.content["head"]["vector"] == two.content["head"]["vector"]


@pytest.mark.parametrize(
    "message_type",
    ["query", "evaluate", "train", "query.metrics", "train.run", "system", "query.hello2"],
)
def test_what_the_app_has_no_answer_for_is_not_run(
    message_type: str, node: Path, study: Study
) -> None:
    with pytest.raises(ValueError, match=r"message type|action|function|category"):
        ask(node, asked(study), message_type)
    assert debits(node) == 0


def test_the_unmasked_way_around_is_closed_in_both_directions(node: Path, study: Study) -> None:
    assert code(ask(node, asked(study), UPDATES.message_type("input"))) == "wrong-profile"


def test_more_records_than_the_contract_has_are_refused(node: Path, study: Study) -> None:
    content = asked(study)
    content["code"] = ConfigRecord({"python": "print(open('/etc/passwd').read())"})
    assert code(ask(node, content)) == "wrong-schema"
    other = asked(study)
    other["body"] = ArrayRecord([np.zeros(2, np.float32)])
    assert code(ask(node, other)) == "wrong-schema"
    assert debits(node) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_theta_that_is_not_finite_costs_nothing(value: float, node: Path, study: Study) -> None:
    theta = torch.full((make_learner(study, seed=0).dim,), value)
    content = instruction_content(Instruction(study.id, 1, theta))
    assert code(ask(node, content)) == "not-finite"
    assert debits(node) == 0


head_values = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.text(max_size=40), st.binary(max_size=40)
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(head=st.dictionaries(st.sampled_from(["study", "round", "version", "x"]), head_values))
def test_garbage_is_refused_with_a_plain_code_and_costs_nothing(
    head: dict[str, Any], node: Path
) -> None:
    for message_type in (HELLO_TYPE, UPDATE_TYPE, UPDATES.message_type("input")):
        reply = ask(node, RecordDict({"head": ConfigRecord(head)}), message_type)
        assert reply.error.reason == "not-approved"
    assert debits(node) == 0


def test_nothing_that_leaves_or_is_kept_names_a_patient(
    node: Path, study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    replies = [
        ask(node, asked(study)),
        ask(node, asked(changed(server={}))),
        ask(node, asked(study, 9)),
    ]
    for reply in replies:
        assert CANARY not in repr(reply.error if reply.has_error() else reply.content)
    assert CANARY not in caplog.text
    for path in (node / "state").rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
