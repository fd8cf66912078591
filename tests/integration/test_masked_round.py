"""Masked rounds of the real apps over the in-process grid, with faults in every phase."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context
from flwr.clientapp import ClientApp
from torch import Tensor

from client import masked_app
from client.release import release
from client.site import Opened, open_site
from common.crypto import digest
from common.errors import QuorumNotReached, SettingsError
from common.learner import make_learner
from common.messages import Instruction
from common.privacy.masking.ring import decode, encode
from common.study import Study, study_toml
from server.masked import MaskedAsk
from server.masked_setup import SetUp
from server.rounds import Answers
from server.state import RoundRecord, ServerState, read_records
from simulation.faults import Fault
from simulation.federation import run_on_grid
from simulation.grid import InProcessGrid, PlantFault
from simulation.source import make_plan, tailored
from simulation.training import EngineSettings, Training, train

Settings = dict[str, Any]
Wards = Callable[..., Settings]
Release = Callable[[Opened, Instruction], Tensor]
NAMES = ("Ash", "Birch", "Cedar", "Elm")
BIRCH, CEDAR = 2, 3
PRIVACY = {"profile": "masked", "clip_norm": 0.5, "noise_multiplier": 0.1}
PHASES = ("input", "confirm", "reveal")


@dataclass
class At:
    """A fault at some nodes in one phase of a round, the first time that it comes.

    Replies of a node are counted by round: those of round 1 begin with the two of the set-up.
    """

    phase: str
    fault: Fault
    nodes: Collection[int] = (BIRCH,)
    round_index: int = 2
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __call__(self, round_index: int, node: int) -> Fault | None:
        number = self.seen[round_index, node]
        self.seen[round_index, node] += 1
        phases = ("advertise", "deal", *PHASES) if round_index == 1 else PHASES
        here = round_index == self.round_index and node in self.nodes and number < len(phases)
        return self.fault if here and phases[number] == self.phase else None


@dataclass
class Federation:
    """A masked study and what its runs have brought; `grid` is the one of the last run."""

    settings: Settings
    folder: Path
    answers: list[tuple[Tensor, Answers]] = field(default_factory=list)
    grids: list[InProcessGrid] = field(default_factory=list)

    def run(self, *faults: PlantFault) -> list[RoundRecord]:
        """Run all rounds that are left, on the same nodes if there were any; return the records."""
        study = tailored(make_plan(self.settings), self.settings)

        def fault(round_index: int, node: int) -> Fault | None:
            planted = [plant(round_index, node) for plant in faults]
            return next((found for found in planted if found), None)

        train(study, self.settings, self.folder, engine=partial(self._on_grid, fault=fault))
        return self.records()

    def _on_grid(self, training: Training, *, fault: PlantFault) -> None:
        before = self.grids[-1]._contexts if self.grids else None

        def grid(app: ClientApp, contexts: dict[int, Context], **options: Any) -> InProcessGrid:
            self.grids.append(InProcessGrid(app, before or contexts, **options))
            return self.grids[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simulation.federation.InProcessGrid", grid)
            run_on_grid(training, serialise=True, fault=fault)

    def records(self) -> list[RoundRecord]:
        study = tailored(make_plan(self.settings), self.settings)
        return read_records(self.folder, study, make_learner(study, seed=0))

    def plain_sum(self, index: int, theta: Tensor, sites: Collection[str], of: Release) -> Tensor:
        """The sites' weighted updates, added as integers in the clear."""
        study, total = (
            tailored(make_plan(self.settings), self.settings),
            encode(np.zeros(len(theta))),
        )
        weights = {site.name: site.weight for site in study.sites}
        for i, name in enumerate(NAMES):
            opened = open_site({"partition-id": i, "num-partitions": 4}, self.settings)
            update = of(opened, Instruction(study.id, index, theta)).double().numpy()
            if name in sites:
                total += encode(weights[name] * update)
        return torch.from_numpy(decode(total))

    def assert_sums_are_plain(self, of: Release) -> None:
        """Every sum that was learned from is the plaintext's over the sites that it claims."""
        closed = [record for record in self.records() if record.closed]
        learned = [answer for answer in self.answers if answer[1].accepted]
        for record, (theta, answer) in zip(closed, learned, strict=True):
            plain = self.plain_sum(record.round_index, theta, answer.accepted, of)
            assert torch.equal(answer.updates.total, plain)


@pytest.fixture
def federation(
    wards: Wards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Federation]:
    """Return a way to make a federation; its updates are quick to compute unless `real`."""

    def make(*, real: bool = False, **changes: Any) -> Federation:
        server = {"deadline_s": 0.1, "rounds": 4} | changes.pop("server", {})
        settings = wards(privacy=PRIVACY, server=server, **changes)
        study = tailored(make_plan(settings), settings)
        sites = [site.model_copy(update={"weight": i + 1.5}) for i, site in enumerate(study.sites)]
        weighted = study.model_copy(update={"sites": tuple(sites)})
        Path(settings["study"]).write_text(study_toml(weighted))
        made, ask = Federation(settings, tmp_path / "run"), MaskedAsk.__call__

        def recorded(self: MaskedAsk, state: ServerState, cohort: Sequence[str]) -> Answers:
            made.answers.append((state.meta, ask(self, state, cohort)))
            return made.answers[-1][1]

        monkeypatch.setattr(MaskedAsk, "__call__", recorded)
        if not real:
            monkeypatch.setattr(masked_app, "release", quick)
        return made

    return make


def quick(opened: Opened, instruction: Instruction) -> Tensor:
    """An update that is quick to compute: of the site, the round and theta alone."""
    seed = int.from_bytes(digest(opened.site.name, instruction.round_index)[:4], "big")
    noise = torch.randn(len(instruction.theta), generator=torch.Generator().manual_seed(seed))
    return 0.01 * noise + 0.1 * instruction.theta


Make = Callable[..., Federation]


def test_the_learned_sum_is_the_plaintext_sum_of_the_real_releases_bit_for_bit(
    federation: Make,
) -> None:
    made = federation(real=True)
    records = made.run()
    assert [(r.accepted, r.dropped) for r in records] == [(NAMES, {})] * 4
    made.assert_sums_are_plain(release)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.DROP, "deadline"),
        (Fault.DELAY, "deadline"),
        (Fault.ERROR, "error-2 planted"),
        (Fault.NAN, "wrong-dtype"),
        (Fault.WRONG_SHAPE, "wrong-shape"),
        (Fault.LYING_SHAPE, "wrong-shape"),
        (Fault.WRONG_DTYPE, "wrong-dtype"),
        (Fault.WRONG_KEYS, "wrong-schema"),
        (Fault.STALE_ROUND, "stale-round"),
    ],
)
def test_a_lost_input_costs_a_third_phase_and_the_site_rests_for_a_round(
    fault: Fault, reason: str, federation: Make
) -> None:
    made = federation()
    records = made.run(At("input", fault))
    assert [r.dropped for r in records] == [{}, {"Birch": reason}, {"Birch": "resting"}, {}]
    assert [len(r.accepted) for r in records] == [4, 3, 3, 4]
    made.assert_sums_are_plain(quick)


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.DUPLICATE])
def test_a_lost_confirmation_costs_nothing_its_input_counts_all_the_same(
    fault: Fault, federation: Make
) -> None:
    made = federation()
    records = made.run(At("confirm", fault))
    assert [len(r.accepted) for r in records] == [4, 4, 3, 4]
    assert records[2].dropped == {"Birch": "resting"}
    made.assert_sums_are_plain(quick)


def test_replies_that_come_twice_count_once(federation: Make) -> None:
    made = federation()
    records = made.run(lambda round_index, node: Fault.DUPLICATE)
    assert [(r.accepted, r.dropped) for r in records] == [(NAMES, {})] * 4
    made.assert_sums_are_plain(quick)


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.ERROR, Fault.WRONG_SHAPE, Fault.NAN])
def test_a_turn_that_lacks_shares_is_taken_up_again_and_ends_in_the_same_sum(
    fault: Fault, federation: Make
) -> None:
    """Three of four are needed: Birch is lost at first, Cedar in the reveal, and is asked again."""
    made = federation()
    records = made.run(At("input", Fault.DROP), At("reveal", fault, [CEDAR]))
    closed = [(r.round_index, r.attempt, r.closed, len(r.accepted)) for r in records[1:3]]
    assert closed == [(2, 1, False, 0), (2, 2, True, 3)]
    made.assert_sums_are_plain(quick)


def test_too_few_confirmations_are_asked_for_again_in_the_same_turn(federation: Make) -> None:
    made = federation()
    records = made.run(At("confirm", Fault.DROP, [BIRCH, CEDAR]))
    assert [(r.attempt, r.closed, len(r.accepted)) for r in records[1:3]] == [
        (1, False, 0),
        (2, True, 4),
    ]
    made.assert_sums_are_plain(quick)


def test_too_few_inputs_bring_nothing_and_the_next_attempt_is_a_new_turn(federation: Make) -> None:
    made = federation()
    records = made.run(At("input", Fault.DROP, [BIRCH, CEDAR]))
    assert [(r.attempt, r.closed, r.accepted) for r in records[1:3]] == [
        (1, False, ()),
        (2, True, NAMES),
    ]
    assert records[1].dropped == {
        "Ash": "no-sum",
        "Birch": "deadline",
        "Cedar": "deadline",
        "Elm": "no-sum",
    }
    made.assert_sums_are_plain(quick)


@pytest.mark.parametrize("phase", ["advertise", "deal"])
@pytest.mark.parametrize("fault", [Fault.DROP, Fault.WRONG_SHAPE, Fault.WRONG_DTYPE])
def test_who_misses_the_set_up_is_let_in_by_the_next_session(
    phase: str, fault: Fault, federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=2))
    made = federation()
    records = made.run(At(phase, fault, round_index=1))
    assert [len(r.accepted) for r in records] == [3, 3, 4, 4]
    assert records[0].dropped == records[1].dropped == {"Birch": "no-session"}
    made.assert_sums_are_plain(quick)


def test_a_deal_that_does_not_open_ends_the_session_before_any_share_is_told(
    federation: Make,
) -> None:
    made = federation()
    with pytest.raises(QuorumNotReached, match="no-session"):
        made.run(At("deal", Fault.NAN, round_index=1))
    assert [r.accepted for r in made.run()[-4:]] == [NAMES] * 4
    made.assert_sums_are_plain(quick)


def test_a_vector_spoilt_under_its_mask_fails_the_round_and_never_enters_the_model(
    federation: Make,
) -> None:
    made = federation()
    with pytest.raises(QuorumNotReached, match="already-revealed"):
        made.run(At("input", Fault.HUGE_NORM))
    assert [r.closed for r in made.records()] == [True, False, False]
    assert set(made.records()[1].dropped.values()) == {"sum-too-large"}


def test_sessions_follow_on_each_other_when_their_turns_are_used_up(
    federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=3))
    made, counted = federation(), At("none", Fault.DROP)
    assert [r.accepted for r in made.run(counted)] == [NAMES] * 4
    # A round takes two phases, and two more where a session begins: in rounds 1 and 4.
    assert [counted.seen[index, BIRCH] for index in (1, 2, 3, 4)] == [4, 2, 2, 4]
    made.assert_sums_are_plain(quick)


def test_without_the_fast_path_shares_come_in_a_third_phase(federation: Make) -> None:
    made, counted = federation(fast_path=False), At("none", Fault.DROP)
    assert [r.accepted for r in made.run(counted)] == [NAMES] * 4
    assert [counted.seen[index, BIRCH] for index in (1, 2, 3, 4)] == [5, 3, 3, 3]
    made.assert_sums_are_plain(quick)


@pytest.mark.parametrize("phase", PHASES[:2])
def test_a_site_that_loses_its_memory_is_out_until_the_next_session(
    phase: str, federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ends after this phase of round 2; the session serves three turns."""
    monkeypatch.setattr("server.app.SetUp", partial(SetUp, turns=3))
    made, counted = federation(), At(phase, Fault.DROP)

    def kill(round_index: int, node: int) -> None:
        if counted(round_index, node):
            made.grids[-1]._contexts[node].state.clear()

    records = made.run(kill)
    assert [len(r.accepted) for r in records] == [4, 3 if phase == "input" else 4, 3, 4]
    assert records[2].dropped == {"Birch": "no-session"}
    made.assert_sums_are_plain(quick)


def test_a_resumed_coordinator_opens_a_new_session_at_sites_that_remember_the_old_one(
    federation: Make,
) -> None:
    made = federation()
    with pytest.raises(QuorumNotReached, match="round 3"):
        made.run(lambda r, node: Fault.DROP if r == 3 and node in {BIRCH, CEDAR} else None)
    records = made.run()
    assert [(r.round_index, r.closed) for r in records[-2:]] == [(3, True), (4, True)]
    made.assert_sums_are_plain(quick)


def test_a_round_whose_sum_may_be_known_is_not_summed_again(
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
    with pytest.raises(QuorumNotReached, match="already-revealed"):
        made.run()


def test_ray_refuses_a_masked_study_with_a_remedy(wards: Wards, tmp_path: Path) -> None:
    settings = wards(privacy=PRIVACY)
    study = tailored(make_plan(settings), settings)
    with pytest.raises(SettingsError, match="take --engine grid"):
        train(study, settings, tmp_path / "run", engine=EngineSettings(name="ray"))
