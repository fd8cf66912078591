import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidMessage
from common.messages import (
    Greeting,
    Instruction,
    greeting_content,
    hello_request,
    instruction_content,
    read_greeting,
    read_instruction,
    read_update,
    update_content,
)

VECTOR = torch.tensor([3.0, -4.0])


def read(content: RecordDict, *, max_norm: float = 10.0) -> torch.Tensor:
    return read_update(content, study="s", round_index=3, dim=2, max_norm=max_norm)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20), st.integers(1, 9))
def test_what_is_written_is_read_back_exactly(values: list[float], index: int) -> None:
    vector = torch.tensor(values, dtype=torch.float32)
    update = update_content("s", index, vector)
    again = read_update(
        update, study="s", round_index=index, dim=len(values), max_norm=float("inf")
    )
    assert torch.equal(again, vector)
    instruction = Instruction("s", index, vector)
    received = read_instruction(instruction_content(instruction), dim=len(values))
    assert (received.study, received.round_index) == ("s", index)
    assert torch.equal(received.theta, vector)


def test_a_greeting_is_read_back() -> None:
    greeting = Greeting("Ash", "s")
    assert read_greeting(greeting_content(greeting)) == greeting


def test_an_update_carries_the_vector_and_the_rounds_echo_and_nothing_else() -> None:
    content = update_content("s", 3, VECTOR)
    assert {k: dict(v) for k, v in content.config_records.items()} == {
        "head": {"version": 1, "study": "s", "round": 3}
    }
    assert [list(v) for v in content.array_records.values()] == [["vector"]]
    assert not content.metric_records


def array(values: object, dtype: str = "float32") -> ArrayRecord:
    return ArrayRecord({"vector": Array(np.array(values, dtype=dtype))})


HEAD: dict[str, str | int] = {"version": 1, "study": "s", "round": 3}


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (HEAD | {"round": 2}, array([3, 4]), "stale-round"),
        (HEAD | {"study": "other"}, array([3, 4]), "wrong-study"),
        (HEAD | {"version": 2}, array([3, 4]), "wrong-version"),
        (HEAD | {"version": True}, array([3, 4]), "wrong-schema"),
        (HEAD | {"num-examples": 10**12}, array([3, 4]), "wrong-schema"),
        ({"study": "s", "round": 3}, array([3, 4]), "wrong-schema"),
        (HEAD, array([3, 4, 5]), "wrong-shape"),
        (HEAD, array([[3, 4]]), "wrong-shape"),
        (HEAD, array([3, 4], "float64"), "wrong-dtype"),
        (HEAD, array([3, float("nan")]), "not-finite"),
        (HEAD, array([3, float("inf")]), "not-finite"),
        (HEAD, array([30, 40]), "norm-too-large"),
        (HEAD, ArrayRecord({"other": Array(np.zeros(2, np.float32))}), "wrong-schema"),
        (HEAD, ArrayRecord({}), "wrong-schema"),
        (HEAD, ConfigRecord({"vector": [3.0, 4.0]}), "wrong-schema"),
    ],
)
def test_a_malformed_update_is_refused_with_its_code(
    head: dict[str, str | int], body: ArrayRecord | ConfigRecord, code: str
) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read(RecordDict({"head": ConfigRecord({**head}), "body": body}))
    assert refusal.value.code == code


def test_a_norm_on_the_limit_is_accepted() -> None:
    # ||(3, -4)|| = 5
    content = update_content("s", 3, VECTOR)
    assert torch.equal(read(content, max_norm=5.0), VECTOR)


def test_bytes_that_are_not_the_declared_array_are_refused() -> None:
    lie = Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=b"not an array")
    content = RecordDict({"head": ConfigRecord({**HEAD}), "body": ArrayRecord({"vector": lie})})
    with pytest.raises(InvalidMessage) as refusal:
        read(content)
    assert refusal.value.code == "undecodable"


def test_surplus_records_and_missing_ones_are_refused() -> None:
    surplus = update_content("s", 3, VECTOR)
    surplus["more"] = ConfigRecord({"loss": 0.1})
    for content in (surplus, RecordDict(), hello_request("s")):
        with pytest.raises(InvalidMessage):
            read(content)
