from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidMessage
from common.messages import (
    Greeting,
    Instruction,
    frame,
    greeting_content,
    hello_request,
    instruction_content,
    read_greeting,
    read_instruction,
    read_update,
    update_content,
)

VECTOR = torch.tensor([3.0, -4.0])


def read(content: RecordDict, *, max_norm: float = 10.0, dim: int = 2) -> torch.Tensor:
    return read_update(content, study="s", round_index=3, dim=dim, max_norm=max_norm)


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
    data = bytes.fromhex("00004040 000080c0")  # 3 and -4 in IEEE 754, little-endian
    head = {"version": 2, "study": "s", "round": 3, "dtype": "float32", "vector": data}
    assert {k: dict(v) for k, v in content.config_records.items()} == {"head": head}
    assert not content.array_records
    assert not content.metric_records


def array(values: object, dtype: str = "float32") -> dict[str, Any]:
    return {"dtype": dtype, "vector": np.array(values, dtype=dtype).tobytes()}


HEAD: dict[str, Any] = {"version": 2, "study": "s", "round": 3}


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (HEAD | {"round": 2}, array([3, 4]), "stale-round"),
        (HEAD | {"study": "other"}, array([3, 4]), "wrong-study"),
        (HEAD | {"version": 1}, array([3, 4]), "wrong-version"),
        (HEAD | {"version": 1, "unheard": 0}, array([3, 4]), "wrong-version"),
        (HEAD | {"version": True}, array([3, 4]), "wrong-schema"),
        (HEAD | {"num-examples": 10**12}, array([3, 4]), "wrong-schema"),
        ({"study": "s", "round": 3}, array([3, 4]), "wrong-schema"),
        (HEAD, array([3, 4, 5]), "wrong-shape"),
        (HEAD, array([3]), "wrong-shape"),
        (HEAD, array([3, 4]) | {"vector": bytes(7)}, "wrong-shape"),
        (HEAD, array([3, 4]) | {"vector": b""}, "wrong-shape"),
        (HEAD, array([3, 4], "float64"), "wrong-dtype"),
        (HEAD, array([3, 4], "int32"), "wrong-dtype"),
        (HEAD, array([3, 4]) | {"dtype": "object"}, "wrong-dtype"),
        (HEAD, array([3, 4]) | {"dtype": 5}, "wrong-schema"),
        (HEAD, array([3, float("nan")]), "not-finite"),
        (HEAD, array([3, float("inf")]), "not-finite"),
        (HEAD, array([30, 40]), "norm-too-large"),
        (HEAD, {}, "wrong-schema"),
        (HEAD, {"vector": bytes(8)}, "wrong-schema"),
        (HEAD, array([3, 4]) | {"vector": [3.0, 4.0]}, "wrong-schema"),
        (HEAD, array([3, 4]) | {"vector": "34343434"}, "wrong-schema"),
    ],
)
def test_a_malformed_update_is_refused_with_its_code(
    head: dict[str, Any], body: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read(RecordDict({"head": ConfigRecord(head | body)}))
    assert refusal.value.code == code


@pytest.mark.parametrize("dim", [7, 8, 9, 16, 17])
def test_a_long_vector_is_cut_into_parts_and_put_together(
    dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "PART_BYTES", 32)  # eight numbers
    vector = torch.arange(dim, dtype=torch.float32)
    content = update_content("s", 3, vector)
    assert len(content) == -(-dim // 8)
    assert max(len(part["vector"]) for part in content.config_records.values()) <= 32  # type: ignore[arg-type]
    assert torch.equal(read(content, dim=dim, max_norm=1e9), vector)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"vector-1": None}, "wrong-shape"),
        ({"vector-2": {"vector": bytes(4)}}, "wrong-shape"),
        ({"vector-1": {"vector": bytes(28)}}, "wrong-shape"),
        ({"vector-1": {"vector": bytes(32), "loss": 0.1}}, "wrong-schema"),
        ({"vector-1": {"vector": 5}}, "wrong-shape"),
        ({"vector-1": {}}, "wrong-schema"),
    ],
)
def test_other_parts_than_the_vectors_are_refused(
    changed: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "PART_BYTES", 32)
    records = dict(update_content("s", 3, torch.zeros(16)))
    for name, fields in changed.items():
        records.pop(name, None)
        if fields is not None:
            records[name] = ConfigRecord(fields)
    with pytest.raises(InvalidMessage) as refusal:
        read(RecordDict(records), dim=16)
    assert refusal.value.code == code


def test_a_norm_on_the_limit_is_accepted() -> None:
    # ||(3, -4)|| = 5
    content = update_content("s", 3, VECTOR)
    assert torch.equal(read(content, max_norm=5.0), VECTOR)


def test_surplus_records_and_missing_ones_are_refused() -> None:
    surplus = update_content("s", 3, VECTOR)
    surplus["more"] = ConfigRecord({"loss": 0.1})
    arrays = update_content("s", 3, VECTOR)
    arrays["body"] = ArrayRecord([np.zeros(2, np.float32)])
    for content in (surplus, arrays, RecordDict(), hello_request("s")):
        with pytest.raises(InvalidMessage):
            read(content)
