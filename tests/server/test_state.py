import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from common.errors import RunFolderError
from common.learner import Learner, make_learner
from common.parameters import flatten
from common.study import Study
from server.state import (
    RECORDS_FILE,
    STATE_FILE,
    Checkpoint,
    RoundRecord,
    ServerState,
    first_state,
    load_initialization,
    load_state,
    read_records,
    save_initialization,
)

RECORD = RoundRecord(1, 1, True, ("Ash", "Fir"), {"Elm": "deadline"}, 0.1)


@pytest.fixture
def learner(ward_study: Study) -> Learner:
    return make_learner(ward_study, seed=0)


@pytest.fixture
def state(ward_study: Study, learner: Learner) -> ServerState:
    update = torch.randn(learner.dim, generator=torch.Generator().manual_seed(1))
    return first_state(ward_study, learner).stepped(ward_study, update)


def test_a_saved_state_is_read_back_bit_for_bit(
    ward_study: Study, learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    Checkpoint(tmp_path).save(state, RECORD)
    again = load_state(tmp_path, ward_study, learner)
    assert torch.equal(again.meta, state.meta)
    assert torch.equal(again.optimizer.m, state.optimizer.m)
    assert torch.equal(again.optimizer.v, state.optimizer.v)
    assert again.optimizer.step == 1
    assert again.round_index == 1
    assert read_records(tmp_path, ward_study, learner) == [RECORD]


def test_every_damaged_byte_is_noticed(
    ward_study: Study, learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    Checkpoint(tmp_path).save(state, RECORD)
    path = tmp_path / STATE_FILE
    whole = path.read_bytes()
    spoiled = [whole[:-1], whole[: len(whole) // 2], b"", b"{}"]
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        spoiled.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for data in spoiled:
        path.write_bytes(data)
        with pytest.raises(RunFolderError, match="checkpoint"):
            load_state(tmp_path, ward_study, learner)


def test_a_record_that_no_saved_state_knows_of_is_taken_back(
    ward_study: Study, learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    # As after a crash between the two writes: the line is there, the state is of the round before.
    Checkpoint(tmp_path).save(state, RECORD)
    with (tmp_path / RECORDS_FILE).open("ab") as file:
        file.write(b'{"round_index": 2, "att')
    assert read_records(tmp_path, ward_study, learner) == [RECORD]
    resumed = Checkpoint(tmp_path)
    resumed.load(ward_study, learner)
    again = dataclasses.replace(RECORD, round_index=2)
    resumed.save(state, again)
    assert read_records(tmp_path, ward_study, learner) == [RECORD, again]


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:-9], lambda d: b"x" + d[1:], lambda d: b"{}\n" * 99]
)
def test_damaged_records_are_noticed(
    spoil: Callable[[bytes], bytes],
    ward_study: Study,
    learner: Learner,
    state: ServerState,
    tmp_path: Path,
) -> None:
    Checkpoint(tmp_path).save(state, RECORD)
    path = tmp_path / RECORDS_FILE
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RunFolderError, match=RECORDS_FILE):
        read_records(tmp_path, ward_study, learner)


def test_another_studys_checkpoint_and_a_missing_one_are_refused(
    ward_study: Study, learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match="no checkpoint"):
        load_state(tmp_path, ward_study, learner)
    Checkpoint(tmp_path).save(dataclasses.replace(state, study="0" * 64))
    with pytest.raises(RunFolderError, match="another study"):
        load_state(tmp_path, ward_study, learner)


def test_the_initialization_is_written_under_the_models_own_names(
    learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    save_initialization(tmp_path / "theta.safetensors", learner, state.meta)
    written = load_file(tmp_path / "theta.safetensors")
    assert {n: p.shape for n, p in written.items()} == {
        n: p.shape for n, p in learner.initial.items()
    }
    assert torch.equal(torch.cat([written[n].reshape(-1) for n in learner.initial]), state.meta)


def test_an_initialization_is_read_back_in_the_models_own_order(
    learner: Learner, state: ServerState, tmp_path: Path
) -> None:
    # ANIL finds the head by that order; a safetensors file has one of its own.
    save_initialization(tmp_path / "theta.safetensors", learner, state.meta)
    read = load_initialization(tmp_path / "theta.safetensors", learner)
    assert list(read) == list(learner.initial)
    assert torch.equal(flatten(read), state.meta)
