"""What a site remembers of secure aggregation: sealed, its own, and on disk before a reply."""

import stat
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

import client.masking
from client.masking import FileStore, Masker
from common.crypto import digest
from common.errors import InvalidMessage, NonFiniteError, SettingsError
from common.privacy.masking.session import Session
from simulation.attack.server import Server, call_of
from simulation.attack.stage import DIM, THETA, Stage, make_stage

ASH = "Ash"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Six members, of whom Ash has a disk."""
    made = make_stage(6, colluders=0)
    disk = FileStore(tmp_path / "masking.sealed", digest("key"))
    made.members[ASH] = replace(made.members[ASH], store=disk)
    return made


def path_of(stage: Stage) -> Path:
    store = stage.members[ASH].store
    assert isinstance(store, FileStore)
    return store.path


def test_the_file_is_its_owners_alone_and_shows_no_secret(stage: Stage) -> None:
    stage.set_up()
    path, joined = path_of(stage), stage.members[ASH].state().joined
    assert joined
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for secret in (joined.link, joined.seal, joined.context):
        assert secret.encode() not in path.read_bytes()


def test_a_file_that_was_changed_or_is_anothers_does_not_open(stage: Stage) -> None:
    stage.set_up()
    path = path_of(stage)
    with pytest.raises(SettingsError, match="does not open"):
        FileStore(path, digest("another key")).load()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SettingsError, match="does not open"):
        stage.members[ASH].state()
    with pytest.raises(SettingsError, match="does not open"):  # no file of another study's either
        FileStore(path.rename(path.with_name("other")), digest("key")).load()


def test_a_site_goes_on_after_a_restart_between_any_two_phases(stage: Stage) -> None:
    context = stage.context()
    offers = []
    for name in stage.names:
        offer = stage.advertise(name, context)
        assert offer
        offers.append(offer)
    stage.kill(ASH)
    server = Server(stage, stage.dealing(Session(context, tuple(offers), {})))
    stage.kill(ASH)
    call = server.ask()
    stage.kill(ASH)
    signatures = server.confirm(call, stage.names[:-1], stage.names[:-1])
    stage.kill(ASH)
    assert stage.reveal(ASH, 0, signatures, server.cells(call, ASH))
    assert not stage.refusals


def test_nothing_leaves_that_is_not_on_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("no space left on device")

    server = Server(stage, stage.set_up())
    call = call_of(server.session, 0, 1, stage.names)
    monkeypatch.setattr(client.masking, "write_atomically", full)
    with pytest.raises(OSError, match="no space"):
        stage.masked_input(ASH, call)
    assert not stage.masked


def test_a_vector_that_cannot_be_encoded_changes_nothing(stage: Stage) -> None:
    server = Server(stage, stage.set_up())
    member, call = stage.members[ASH], call_of(server.session, 0, 1, stage.names)
    before = member.state()
    for bad in (np.nan, 2.0**21):
        with pytest.raises(NonFiniteError):
            member.masked_input(call, THETA, partial(np.full, DIM, bad))
    assert member.state() == before
    with pytest.raises(InvalidMessage, match="not that of the session"):
        member.masked_input(call, THETA, lambda: np.zeros(DIM + 1))


def test_no_vector_is_computed_for_a_request_that_breaks_a_rule(stage: Stage) -> None:
    server = Server(stage, stage.set_up())
    call = call_of(server.session, 0, 1, stage.names[:2])

    def never() -> NDArray[np.float64]:
        raise AssertionError("patients were asked for a request that is refused")

    with pytest.raises(InvalidMessage):
        stage.members[ASH].masked_input(call, THETA, never)


def test_two_at_a_time_take_turns(stage: Stage) -> None:
    """Two processes that are asked for the same turn: one masks, the other finds it done."""
    server = Server(stage, stage.set_up())
    call, codes = call_of(server.session, 0, 1, stage.names), list[str]()

    def vector() -> NDArray[np.float64]:
        time.sleep(0.05)  # time for the other to read the same state
        return np.zeros(DIM)

    def ask(member: Masker) -> None:
        try:
            member.masked_input(call, THETA, vector)
            codes.append("masked")
        except InvalidMessage as error:
            codes.append(error.code)

    threads = [Thread(target=ask, args=(replace(stage.members[ASH]),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["masked", "stale-turn"]
