"""No script gets more out of members than one sum, unless a member lacks a rule: then one does."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import client.masking
from client.masking import MemoryStore
from common.privacy.masking import keys, member, rules, turns
from common.privacy.masking.state import State
from common.privacy.masking.statements import Signed
from simulation.attack.deviations import deviate
from simulation.attack.malicious_server import SCRIPTS, Script, run_scripts
from simulation.attack.oracle import Oracle
from simulation.attack.stage import Stage

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: f"{s.number} {s.name}")
def test_the_members_defeat_every_script(script: Script) -> None:
    assert script.run().outcome == "aborted"


def test_there_are_eighteen_scripts_with_numbers_and_names_of_their_own() -> None:
    assert [script.number for script in SCRIPTS] == list(range(1, 19))
    assert len({script.name for script in SCRIPTS}) == 18
    assert run_scripts.__doc__


def no_check(*args: object, **kwargs: object) -> None:
    """A rule that is not there."""


def advertisements_unsigned(patch: Patch) -> None:
    patch.setattr(Signed, "check", no_check)


def statements_unsigned(patch: Patch) -> None:
    patch.setattr(turns, "_check_signatures", no_check)


def statements_uncounted(patch: Patch) -> None:
    """Signatures are verified, but one is enough."""
    honest = turns._check_signatures
    patch.setattr(
        turns,
        "_check_signatures",
        lambda seat, survival, signatures, threshold: honest(seat, survival, signatures, 1),
    )


def keys_of_a_turn_unchecked(patch: Patch) -> None:
    patch.setattr(turns, "check_deck", no_check)


def both_shares(patch: Patch) -> None:
    honest = turns.confirm

    def forgetful(seat: Any, state: State, *request: Any) -> Any:
        return honest(seat, in_phase(state, "masked"), *request)

    patch.setattr(client.masking, "confirm", forgetful)


def in_phase(state: State, phase: str) -> State:
    joined = state.joined
    if not (joined and joined.turn):
        return state
    turn = joined.turn.model_copy(update={"phase": phase})
    return state.model_copy(update={"joined": joined.model_copy(update={"turn": turn})})


def reply_before_the_state_is_kept(patch: Patch) -> None:
    """What was written last is lost when the process is killed."""
    honest, before = MemoryStore.save, dict[int, str | None]()

    def save(self: MemoryStore, text: str) -> None:
        before[id(self)] = self.text
        honest(self, text)

    def kill(self: Stage, site: str) -> None:
        store = self.members[site].store
        assert isinstance(store, MemoryStore)
        store.text = before[id(store)]

    patch.setattr(MemoryStore, "save", save)
    patch.setattr(Stage, "kill", kill)


def any_survivors(patch: Patch) -> None:
    patch.setattr(turns, "check_presence", no_check)


def any_threshold(patch: Patch) -> None:
    patch.setattr(rules, "check_threshold", no_check)


def any_cohort(patch: Patch) -> None:
    patch.setattr(rules, "check_threshold", no_check)
    for module in (rules, member, turns):
        patch.setattr(module, "check_presence", no_check)


def round_revealed_twice(patch: Patch) -> None:
    patch.setattr(State, "revealed", lambda self, round_index: False)


def masks_whatever_the_model(patch: Patch) -> None:
    honest = keys.pair_key
    patch.setattr(
        turns,
        "pair_key",
        lambda own, peer, binding, names: honest(own, peer, binding._replace(theta=""), names),
    )


@pytest.mark.parametrize(
    ("mutant", "number"),
    [
        (advertisements_unsigned, 1),
        (keys_of_a_turn_unchecked, 1),
        (statements_unsigned, 3),
        (statements_uncounted, 3),
        (statements_unsigned, 11),
        (any_threshold, 6),
        (any_cohort, 7),
        (masks_whatever_the_model, 12),
        (both_shares, 13),
        (any_survivors, 16),
        (reply_before_the_state_is_kept, 17),
        (round_revealed_twice, 18),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_member_that_lacks_a_rule_is_broken_by_the_script_for_it(
    mutant: Callable[[Patch], None], number: int, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    assert SCRIPTS[number - 1].run().outcome == "broken"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_mixture_of_deviations_gets_more_than_one_sum(data: st.DataObject) -> None:
    stage = deviate(lambda options: data.draw(st.sampled_from(options)))
    assert not Oracle(stage).broken()


def test_the_mixtures_do_get_more_if_a_member_tells_both_shares(monkeypatch: Patch) -> None:
    both_shares(monkeypatch)
    statements_unsigned(monkeypatch)
    monkeypatch.setattr(State, "burned", lambda self: self)
    plays = (deviate(Random(seed).choice) for seed in range(100))
    assert any(Oracle(stage).broken() for stage in plays)
