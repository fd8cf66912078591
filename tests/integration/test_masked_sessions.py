"""Sessions of secure aggregation: who is in, who has forgotten, what a restart leaves behind."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict
from torch import Tensor

from client.hospital import open_hospital
from client.site import Opened, open_site
from client.site_keys import IDENTITY_FILE, site_key
from common.crypto import SigningKey
from common.errors import QuorumNotReached, SettingsError
from common.messages import Instruction
from common.sources import RunSettings
from common.study import Study
from server.masked_setup import SetUp
from server.state import ServerState
from simulation.faults import Fault
from simulation.source import make_plan, tailored
from simulation.training import EngineSettings, train
from tests.hospital import COORDINATOR, write_roster, write_rules
from tests.integration.conftest import BIRCH, CEDAR, NAMES, PHASES, PRIVACY, at, quick

Settings = dict[str, Any]
Wards = Callable[..., Settings]


Make = Callable[..., Any]


@pytest.mark.parametrize("phase", ["advertise", "deal"])
@pytest.mark.parametrize("fault", [Fault.DROP, Fault.WRONG_SHAPE, Fault.WRONG_DTYPE])
def test_who_misses_the_set_up_is_let_in_by_the_next_session(
    phase: str, fault: Fault, federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=2))
    made = federation()
    records = made.run(at(phase, fault, r=1))
    assert [len(r.accepted) for r in records] == [3, 3, 4, 4]
    assert records[0].dropped == records[1].dropped == {"Birch": "no-session"}
    made.assert_sums_are_plain()


def test_a_deal_that_does_not_open_ends_the_session_before_any_share_is_told(
    federation: Make,
) -> None:
    made = federation()
    with pytest.raises(QuorumNotReached, match="no-session"):
        made.run(at("deal", Fault.NAN, r=1))
    assert [r.accepted for r in made.run()[-4:]] == [NAMES] * 4
    made.assert_sums_are_plain()


def test_a_vector_spoilt_under_its_mask_fails_the_round_and_never_enters_the_model(
    federation: Make,
) -> None:
    made = federation()
    records = made.run(at("input", Fault.HUGE_NORM))
    assert [r.closed for r in records] == [True, False, True, True, True]
    assert set(records[1].dropped.values()) == {"sum-too-large"}
    made.assert_sums_are_plain()  # of releases that were made anew


def test_sessions_follow_on_each_other_when_their_turns_are_used_up(
    federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=3))
    made, counted = federation(), at("none", Fault.DROP)
    assert [r.accepted for r in made.run(counted)] == [NAMES] * 4
    # A round takes two phases, and two more where a session begins: in rounds 1 and 4.
    assert [counted.seen[index, BIRCH] for index in (1, 2, 3, 4)] == [4, 2, 2, 4]
    made.assert_sums_are_plain()


def test_without_the_fast_path_shares_come_in_a_third_phase(federation: Make) -> None:
    made, counted = federation(fast_path=False), at("none", Fault.DROP)
    assert [r.accepted for r in made.run(counted)] == [NAMES] * 4
    assert [counted.seen[index, BIRCH] for index in (1, 2, 3, 4)] == [5, 3, 3, 3]
    made.assert_sums_are_plain()


@pytest.mark.parametrize("phase", PHASES[:2])
def test_a_site_that_loses_its_memory_is_out_until_the_next_session(
    phase: str, federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ends after this phase of round 2; the session serves three turns."""
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=3))
    made, counted = federation(), at(phase, Fault.DROP)

    def kill(round_index: int, node: int) -> None:
        if counted(round_index, node):
            made.nodes[node].state.clear()

    records = made.run(kill)
    assert [len(r.accepted) for r in records] == [4, 3 if phase == "input" else 4, 3, 4]
    assert records[2].dropped == {"Birch": "no-session"}
    made.assert_sums_are_plain()


def test_a_resumed_coordinator_opens_a_new_session_at_sites_that_remember_the_old_one(
    federation: Make,
) -> None:
    made = federation()
    with pytest.raises(QuorumNotReached, match="round 3"):
        made.run(lambda r, node: Fault.DROP if r == 3 and node in {BIRCH, CEDAR} else None)
    records = made.run()
    assert [(r.round_index, r.closed) for r in records[-2:]] == [(3, True), (4, True)]
    made.assert_sums_are_plain()


def test_in_a_round_whose_sum_may_be_known_releases_are_made_anew(
    federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator dies after it has unmasked round 2 and before it has saved it."""
    made, step = federation(), ServerState.stepped

    def die(self: ServerState, study: Study, update: Tensor) -> ServerState:
        if self.round_index == 1:
            raise KeyboardInterrupt
        return step(self, study, update)

    monkeypatch.setattr(ServerState, "stepped", die)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    monkeypatch.setattr(ServerState, "stepped", step)
    asked = list[tuple[int, bool]]()

    def spied(opened: Opened, instruction: Instruction, *, run: str, fresh: int) -> Tensor:
        asked.append((instruction.round_index, bool(fresh)))
        return quick(opened, instruction)

    monkeypatch.setattr("client.masked_app.release", spied)
    assert [record.closed for record in made.run()] == [True] * 4
    assert asked == [(2, True)] * 4 + [(3, False)] * 4 + [(4, False)] * 4


def test_ray_refuses_a_masked_study_with_a_remedy(wards: Wards, tmp_path: Path) -> None:
    settings = wards(privacy=PRIVACY)
    study = tailored(make_plan(settings), settings)
    with pytest.raises(SettingsError, match="take --engine grid"):
        train(study, settings, tmp_path / "run", engine=EngineSettings(name="ray"))


def test_hospitals_keep_on_their_own_disks_what_they_must_remember(
    federation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes whose own memory stays empty: all that lasts from phase to phase is on disk."""

    def opened(node: RunSettings, run: RunSettings, study: str) -> Opened:
        found = open_site({"partition-id": node["number"], "num-partitions": 4}, run)
        return found._replace(hospital=open_hospital(Path(str(node["folder"]))))

    for module in ("client.app", "client.masked_app"):
        monkeypatch.setattr(f"{module}.open_site", opened)
    made = federation()
    made.settings["roster"] = str(write_rosters(made, tmp_path))
    for name in NAMES:
        roster = {"key": COORDINATOR.public.hex(), "roster": "../roster.json"}
        write_rules(tmp_path / name, name, limits={"min_cohort": 3}, coordinator=roster)
    nodes = {i + 1: node(i, tmp_path) for i in range(4)}
    made.nodes = nodes
    records = made.run(at("input", Fault.DROP))
    assert [len(r.accepted) for r in records] == [4, 3, 3, 4]
    made.assert_sums_are_plain()
    assert not any(context.state for context in nodes.values())
    assert all((tmp_path / name / "state" / "roster.json").exists() for name in NAMES)


def node(number: int, folder: Path) -> Context:
    config: dict[str, str | int | float | bool] = {
        "number": number,
        "folder": str(folder / NAMES[number]),
    }
    return Context(
        run_id=1, node_id=number + 1, node_config=config, state=RecordDict(), run_config={}
    )


def write_rosters(made: Any, folder: Path) -> Path:
    """The roster of four hospitals, each of which makes its identity in a folder of its own."""
    study = tailored(make_plan(made.settings), made.settings)
    keys = {n: SigningKey(site_key(folder / n / "state", IDENTITY_FILE)) for n in NAMES}
    return write_roster(folder / "roster.json", keys, [site.weight for site in study.sites])
