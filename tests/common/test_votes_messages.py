from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidMessage
from common.messages.votes import (
    MaskedVotesRequest,
    VotesRequest,
    masked_votes_request_content,
    read_masked_votes_request,
    read_votes,
    read_votes_request,
    require_plausible,
    votes_content,
    votes_request_content,
)
from common.privacy.histograms import CELLS, Integers
from common.privacy.masking.statements import Call, Deck

THETA = torch.tensor([3.0, -4.0])
REQUEST = VotesRequest("s", 2, "gout", THETA)
COUNTS = np.arange(CELLS, dtype=np.int64) - 3


def read(content: RecordDict) -> Integers:
    return read_votes(content, request=REQUEST)


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20),
    st.lists(st.integers(-(2**62), 2**62), min_size=CELLS, max_size=CELLS),
    st.integers(1, 9),
    st.text(min_size=1, max_size=20),
)
def test_what_is_written_is_read_back_exactly(
    values: list[float], counts: list[int], release: int, task: str
) -> None:
    request = VotesRequest("s", release, task, torch.tensor(values, dtype=torch.float32))
    received = read_votes_request(votes_request_content(request), study="s", dim=len(values))
    assert (received.study, received.release, received.task) == ("s", release, task)
    assert torch.equal(received.theta, request.theta)
    answer = votes_content(request, np.array(counts, dtype=np.int64))
    assert read_votes(answer, request=request).tolist() == counts


def test_votes_carry_the_counts_and_the_requests_echo_and_nothing_else() -> None:
    content = votes_content(REQUEST, COUNTS)
    sent = {"dtype": "int64", "vector": COUNTS.astype("<i8").tobytes()}
    assert {k: dict(v) for k, v in content.config_records.items()} == {"head": HEAD | sent}
    assert not content.array_records
    assert not content.metric_records


def array(values: object, dtype: str = "int64") -> dict[str, Any]:
    return {"dtype": dtype, "vector": np.array(values, dtype=dtype).tobytes()}


HEAD: dict[str, Any] = {"version": 2, "study": "s", "release": 2, "task": "gout"}


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (HEAD | {"release": 1}, array(COUNTS), "wrong-ballot"),
        (HEAD | {"task": "anaemia"}, array(COUNTS), "wrong-ballot"),
        (HEAD | {"study": "other"}, array(COUNTS), "wrong-study"),
        (HEAD | {"version": 1}, array(COUNTS), "wrong-version"),
        (HEAD | {"release": True}, array(COUNTS), "wrong-schema"),
        (HEAD | {"num-examples": 10**12}, array(COUNTS), "wrong-schema"),
        ({"version": 2, "study": "s"}, array(COUNTS), "wrong-schema"),
        (HEAD, array(COUNTS[1:]), "wrong-shape"),
        (HEAD, array([*COUNTS, 0]), "wrong-shape"),
        (HEAD, array(COUNTS, "float64"), "wrong-dtype"),
        (HEAD, array(COUNTS, "uint64"), "wrong-dtype"),
        (HEAD, {}, "wrong-schema"),
        (HEAD, array(COUNTS) | {"vector": [3, 4]}, "wrong-schema"),
    ],
)
def test_malformed_votes_are_refused_with_their_code(
    head: dict[str, Any], body: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read(RecordDict({"head": ConfigRecord(head | body)}))
    assert refusal.value.code == code


def masked(release: int) -> RecordDict:
    call = Call(deck=Deck(context="a" * 64, turn=0, cards=()), round=release, asked=("Ash",))
    return masked_votes_request_content(MaskedVotesRequest(call, REQUEST))


def test_a_masked_request_is_read_back_and_its_turn_is_of_its_own_release() -> None:
    read_back = read_masked_votes_request(masked(2), study="s", dim=2)
    assert (read_back.call.round, read_back.call.asked) == (2, ("Ash",))
    assert (read_back.votes.release, read_back.votes.task) == (2, "gout")
    assert torch.equal(read_back.votes.theta, THETA)
    for content, study, code in (
        (masked(1), "s", "wrong-ballot"),
        (masked(2), "other", "wrong-study"),
        (votes_request_content(REQUEST), "s", "wrong-schema"),
    ):
        with pytest.raises(InvalidMessage) as refusal:
            read_masked_votes_request(content, study=study, dim=2)
        assert refusal.value.code == code


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (VotesRequest("other", 2, "gout", THETA), "wrong-study"),
        (VotesRequest("s", 2, "gout", THETA * float("nan")), "not-finite"),
        (VotesRequest("s", 2, "gout", THETA[:1]), "wrong-shape"),
    ],
)
def test_a_malformed_request_is_refused_with_its_code(request_: VotesRequest, code: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read_votes_request(votes_request_content(request_), study="s", dim=2)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("changes", "sites", "fine"),
    [
        ({}, 1, True),
        ({0: -101}, 1, True),  # ten standard deviations, and one for rounding
        ({0: -102}, 1, False),
        ({3: 1101}, 1, True),
        ({3: 1102}, 1, False),
        ({3: 1102}, 4, True),
        ({3: 1000, 4: 1000}, 1, False),  # 2000 votes of 1000 patients
        ({3: 2**63 - 1}, 1, False),
    ],
)
def test_votes_are_taken_up_to_what_the_declared_patients_can_give(
    changes: dict[int, int], sites: int, fine: bool
) -> None:
    counts = np.zeros(CELLS, dtype=np.int64)
    for cell, value in changes.items():
        counts[cell] = value
    if fine:
        require_plausible(counts, patients=1000, sites=sites, std=10.0)
        return
    with pytest.raises(InvalidMessage) as refusal:
        require_plausible(counts, patients=1000, sites=sites, std=10.0)
    assert refusal.value.code == "implausible-votes"
