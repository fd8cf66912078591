"""The real apps over the in-process grid, with one fault at a time planted at the site Birch."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import QuorumNotReached
from common.learner import make_learner
from common.parameters import Params
from server.state import RoundRecord, load_state, read_records
from simulation.faults import Fault
from simulation.federation import run_on_grid
from simulation.grid import PlantFault
from simulation.source import make_plan, tailored
from simulation.training import EngineSettings, train

Settings = dict[str, Any]
Wards = Callable[..., Settings]
BIRCH = 2  # node ids count the training sites from 1, in order of names


def federate(
    settings: Settings,
    folder: Path,
    fault: PlantFault = lambda r, n: None,
    *,
    serialise: bool = False,
) -> tuple[Params, list[RoundRecord]]:
    study = tailored(make_plan(settings), settings)
    engine = partial(run_on_grid, fault=fault, serialise=serialise)
    meta = train(study, settings, folder, engine=engine)
    return meta, read_records(folder, study, make_learner(study, seed=0))


def same(a: Params, b: Params) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def at_birch(fault: Fault, round_index: int = 2) -> PlantFault:
    return lambda r, node: fault if (r, node) == (round_index, BIRCH) else None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.DROP, "deadline"),
        (Fault.DELAY, "deadline"),
        (Fault.ERROR, "error-2 planted"),
        (Fault.NAN, "not-finite"),
        (Fault.WRONG_SHAPE, "wrong-shape"),
        (Fault.LYING_SHAPE, "wrong-shape"),
        (Fault.WRONG_DTYPE, "wrong-dtype"),
        (Fault.WRONG_KEYS, "wrong-schema"),
        (Fault.HUGE_NORM, "norm-too-large"),
        (Fault.STALE_ROUND, "stale-round"),
    ],
)
def test_a_spoiled_reply_is_dropped_and_recorded_and_the_round_goes_on(
    fault: Fault, reason: str, wards: Wards, tmp_path: Path
) -> None:
    settings = wards(server={"deadline_s": 1.0, "rounds": 3})
    meta, records = federate(settings, tmp_path / fault, at_birch(fault), serialise=True)
    assert [r.dropped for r in records] == [{}, {"Birch": reason}, {}]
    assert records[1].accepted == ("Ash", "Cedar", "Elm")
    dropped, _ = federate(settings, tmp_path / "dropped", at_birch(Fault.ERROR))
    assert same(meta, dropped), "a dropped reply has no part in the initialization"


def test_a_reply_that_comes_twice_counts_once(wards: Wards, tmp_path: Path) -> None:
    settings = wards()
    twice, records = federate(settings, tmp_path / "twice", lambda r, n: Fault.DUPLICATE)
    once, _ = federate(settings, tmp_path / "once")
    assert same(twice, once)
    assert all(not r.dropped for r in records)


def test_serialisation_changes_nothing(wards: Wards, tmp_path: Path) -> None:
    settings = wards()
    plain, _ = federate(settings, tmp_path / "plain")
    wire, _ = federate(settings, tmp_path / "wire", serialise=True)
    assert same(plain, wire)


def test_a_round_closes_with_enough_replies(wards: Wards, tmp_path: Path) -> None:
    settings = wards(server={"close_at": 0.75, "deadline_s": 60.0})
    _, records = federate(settings, tmp_path / "run", at_birch(Fault.DROP))
    assert records[1].dropped == {"Birch": "closed"}
    assert records[1].closed


def test_below_quorum_the_round_is_tried_again_and_then_counts_once(
    wards: Wards, tmp_path: Path
) -> None:
    settings = wards()
    failures = iter([Fault.ERROR] * 4)  # all four sites fail once, in round 2

    def once(round_index: int, node: int) -> Fault | None:
        return next(failures, None) if round_index == 2 else None

    retried, records = federate(settings, tmp_path / "retried", once)
    assert [(r.round_index, r.attempt, r.closed) for r in records] == [
        (1, 1, True),
        (2, 1, False),
        (2, 2, True),
        (3, 1, True),
        (4, 1, True),
    ]
    undisturbed, _ = federate(settings, tmp_path / "undisturbed")
    assert same(retried, undisturbed)


def test_without_a_quorum_the_run_pauses_and_resumes_where_it_was(
    wards: Wards, tmp_path: Path
) -> None:
    settings, folder = wards(), tmp_path / "run"
    study = tailored(make_plan(settings), settings)
    with pytest.raises(QuorumNotReached, match="round 3"):
        federate(settings, folder, lambda r, n: Fault.NAN if r == 3 and n > 1 else None)
    learner = make_learner(study, seed=0)
    paused = load_state(folder, study, learner)
    assert paused.round_index == 2
    records = read_records(folder, study, learner)
    assert [r.closed for r in records] == [True, True, False, False]
    resumed = train(study, settings, folder, engine=EngineSettings(name="grid"))
    uninterrupted, _ = federate(settings, tmp_path / "uninterrupted")
    assert same(resumed, uninterrupted)


def test_a_site_that_missed_the_roll_is_recorded_as_absent_in_every_round(
    wards: Wards, tmp_path: Path
) -> None:
    settings = wards(server={"deadline_s": 0.5})
    away: PlantFault = lambda r, node: Fault.DROP if r == 0 and node == BIRCH else None  # noqa: E731
    _, records = federate(settings, tmp_path / "run", away)
    assert [r.dropped for r in records] == [{"Birch": "absent"}] * 4


def test_the_quorum_counts_the_studys_sites_and_not_those_that_came(
    wards: Wards, tmp_path: Path
) -> None:
    # Two of four sites come, which is a quorum of one half; then one of these two fails.
    settings = wards(server={"deadline_s": 0.5, "rounds": 2})

    def fault(round_index: int, node: int) -> Fault | None:
        missing = round_index == 0 and node > 2
        return Fault.DROP if missing else Fault.NAN if (round_index, node) == (1, 2) else None

    with pytest.raises(QuorumNotReached, match="1 of 4 sites gave a usable update, 2 are needed"):
        federate(settings, tmp_path / "run", fault)


def test_a_site_with_another_study_is_left_out_of_the_roll(wards: Wards, tmp_path: Path) -> None:
    settings = wards(server={"deadline_s": 0.5, "quorum": 1.0})
    with pytest.raises(QuorumNotReached, match="roll call"):
        federate(
            settings, tmp_path / "run", lambda r, n: Fault.ERROR if r == 0 and n == BIRCH else None
        )
