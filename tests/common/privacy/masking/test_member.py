"""A site's rules: what breaks one costs the session, and no share leaves after it."""

from collections.abc import Callable
from functools import partial

import pytest

from client.masking import forget_aborts
from common.crypto import derive
from common.errors import InvalidMessage, SettingsError
from common.privacy.masking.keys import CELL_BYTES, turn_secrets
from common.privacy.masking.rules import Policy, check_threshold, threshold_of
from common.privacy.masking.session import Session
from common.privacy.masking.shamir import combine
from common.privacy.masking.state import State
from common.privacy.masking.statements import CONFIRM, PROTOCOL, Call, Context, Signed
from common.privacy.masking.turns import enter
from simulation.attack.oracle import Oracle
from simulation.attack.server import OTHER, Server, call_of, survival_of
from simulation.attack.stage import DIM, NOW, STUDY, Stage, make_stage

ASH = "Ash"


@pytest.fixture
def server() -> Server:
    stage = make_stage(5, colluders=0)
    return Server(stage, stage.set_up())


def six(*, fast_path: bool = True) -> Server:
    """Six sites, five of which are needed: one may drop out."""
    stage = make_stage(6, colluders=0, fast_path=fast_path)
    return Server(stage, stage.set_up())


def code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(InvalidMessage) as caught:
        ask()
    return caught.value.code


def state_of(stage: Stage) -> State:
    return stage.members[ASH].state()


@pytest.mark.parametrize(
    ("k", "t"), [(3, 3), (4, 3), (5, 4), (7, 5), (10, 7), (20, 14), (30, 21), (100, 67)]
)
def test_the_least_threshold_is_two_thirds_and_one(k: int, t: int) -> None:
    assert threshold_of(k) == t
    tolerated = min(2 * t - k - 1, t - 2)
    check_threshold(k, t, tolerated)
    for threshold, colluders in ((t - 1, 0), (k + 1, 0), (t, tolerated + 1)):
        assert code_of(partial(check_threshold, k, threshold, colluders)) == "low-threshold"


def test_minima_that_protect_nobody_are_refused() -> None:
    with pytest.raises(SettingsError, match="min_cohort is 2"):
        Policy(study=STUDY, dim=DIM, min_cohort=2)


def test_four_sites_are_too_few_for_the_default_minimum() -> None:
    stage = make_stage(4, colluders=0)
    assert not stage.set_up().members
    assert set(stage.refusals) == {(name, "small-cohort") for name in stage.names}


def test_whatever_breaks_a_rule_costs_the_session_and_three_times_is_enough(
    server: Server,
) -> None:
    stage, member = server.stage, server.stage.members[ASH]
    for _ in range(3):
        stage.set_up()
        assert state_of(stage).joined
        assert code_of(lambda: member.confirm(0, stage.names, b"")) == "wrong-phase"
        assert not state_of(stage).joined, "its secrets are erased"
        assert code_of(lambda: member.confirm(0, stage.names, b"")) == "no-session"
    assert state_of(stage).aborts == 3
    assert code_of(lambda: member.advertise(stage.context().text)) == "stopped"
    forget_aborts(member.store)
    assert stage.advertise(ASH, stage.context())


def test_a_refusal_changes_nothing(server: Server) -> None:
    server.finish(server.ask(0, 1), server.stage.names)
    before = state_of(server.stage)
    server.ask(1, 1)
    assert server.stage.refusals[0] == (ASH, "already-revealed")
    assert state_of(server.stage) == before
    server.ask(1, 2)
    assert state_of(server.stage).masked_round == 2


def test_a_new_release_of_a_revealed_round_may_be_masked(server: Server) -> None:
    server.finish(server.ask(0, 2), server.stage.names)
    seat, state = server.stage.members[ASH].seat, state_of(server.stage)
    assert state.revealed(2)
    assert state.revealed(1)
    assert not state.revealed(3)
    call = call_of(server.session, 1, 2, server.stage.names)
    assert enter(seat, state, call, now=NOW, fresh=True).call == call
    old = call.model_copy(update={"round": 1})
    assert code_of(lambda: enter(seat, state, old, now=NOW, fresh=True)) == "already-revealed"


def test_a_request_that_comes_again_is_given_the_same_answer_and_another_none() -> None:
    server = six()
    stage, member = server.stage, server.stage.members[ASH]
    call = server.ask()
    fewer, cells = stage.names[:-1], server.cells(call, ASH)
    answers = [member.confirm(0, fewer, b"") for _ in range(2)]
    signatures = server.confirm(call, fewer, fewer)
    shares = [member.reveal(0, signatures, cells) for _ in range(2)]
    assert answers[0] == answers[1] == member.confirm(0, fewer, b"")
    assert shares[0] == shares[1]
    assert state_of(stage).joined
    assert code_of(lambda: member.reveal(0, signatures, cells[::-1])) == "wrong-phase"
    assert not state_of(stage).joined


def test_the_fast_path_tells_shares_only_if_nobody_dropped_out_and_the_site_allows_it() -> None:
    for fast_path, survived, told in ((True, 6, True), (True, 5, False), (False, 6, False)):
        server = six(fast_path=fast_path)
        stage, call = server.stage, server.ask()
        answer = stage.confirm(ASH, 0, call.asked[:survived], server.cells(call, ASH) * told)
        assert answer
        assert bool(answer.shares) == told
        assert state_of(stage).revealed(1) == told


def test_cells_that_are_not_due_are_refused() -> None:
    server = six()
    member, call = server.stage.members[ASH], server.ask()
    cells = server.cells(call, ASH)
    assert code_of(lambda: member.confirm(0, call.asked[:5], cells)) == "wrong-phase"


def test_a_cell_of_another_turn_or_site_does_not_open(server: Server) -> None:
    call = server.ask()
    cells = server.session.cells(1, ASH, call.asked)
    assert code_of(lambda: server.stage.members[ASH].confirm(0, call.asked, cells)) == "bad-tag"
    cells = server.cells(call, "Birch")
    assert code_of(lambda: server.stage.members["Elm"].confirm(0, call.asked, cells)) == "bad-tag"


def test_every_turn_has_masks_of_its_own_and_what_is_skipped_is_gone(server: Server) -> None:
    stage = server.stage
    server.ask(1, 1)
    assert [state.position for s in stage.members.values() if (state := s.state().joined)] == [
        2
    ] * 5
    server.ask(0, 2)
    assert {code for _, code in stage.refusals} == {"stale-turn"}


def test_colluders_below_the_threshold_cannot_put_a_secret_together() -> None:
    shares: dict[int, dict[int, bytes]] = {}
    for colluders in (3, 4):  # four of five are needed
        stage = make_stage(5, colluders=colluders, tolerated=0)
        session = stage.set_up()
        shares[colluders] = Oracle(stage)._shares[(session.context.id, 0, ASH), "seed"]
    link = derive(stage.joins[session.context.id, ASH].entropy, PROTOCOL, "chain")
    assert combine(shares[4]) == turn_secrets(link).seed
    with pytest.raises(InvalidMessage):
        combine(shares[3])


def test_only_survivors_signatures_count() -> None:
    server = six()
    stage, call = server.stage, server.ask()
    fewer = stage.names[:-1]
    signatures = server.confirm(call, fewer, fewer)
    survival = survival_of(call, fewer)
    outsider = stage.members[stage.names[-1]].seat.key.sign(CONFIRM, survival.text)
    mixed = {**dict(list(signatures.items())[1:]), stage.names[-1]: outsider}
    cells = server.cells(call, ASH)
    assert code_of(lambda: stage.members[ASH].reveal(0, mixed, cells)) == "few-signatures"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda offers: offers[:3], "small-cohort"),
        (lambda offers: offers[1:], "not-named"),
        (lambda offers: offers[::-1], "wrong-sites"),
        (lambda offers: (*offers, offers[-1]), "wrong-sites"),
    ],
)
def test_offers_have_to_be_of_enough_sites_in_order_with_this_one_among_them(
    spoil: Callable[[tuple[Signed, ...]], tuple[Signed, ...]], code: str
) -> None:
    stage = make_stage(5, colluders=0)
    context = stage.context()
    offers = tuple(o for name in stage.names if (o := stage.advertise(name, context)))
    assert code_of(lambda: stage.members[ASH].deal(spoil(offers))) == code


def test_the_deal_is_one_cell_for_each_site_and_turn(server: Server) -> None:
    assert len(server.session.dealt[ASH]) == 3 * 5 * CELL_BYTES
    again = Session(server.session.context, server.session.offers, {})
    server.stage.dealing(again)
    assert {code for _, code in server.stage.refusals} == {"wrong-phase"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"asked": ("Ash", "Birch", "Cedar", "Elm")}, "small-cohort"),
        ({"asked": ("Birch", "Cedar", "Elm", "Fir", "Ash")}, "wrong-sites"),
        ({"asked": ("Ash", "Birch", "Cedar", "Elm", "Oak")}, "wrong-sites"),
    ],
)
def test_a_call_has_to_name_enough_members_in_order(
    server: Server, change: dict[str, object], code: str
) -> None:
    call = call_of(server.session, 0, 1, server.stage.names).model_copy(update=change)
    server.stage.masked_input(ASH, call)
    assert server.stage.refusals == [(ASH, code)]


def test_a_text_that_is_spelled_otherwise_is_refused(server: Server) -> None:
    context = server.stage.context()
    assert Context.read(context.text) == context
    call = call_of(server.session, 0, 1, server.stage.names)
    assert Call.read(call.text) == call
    for text in (context.text + " ", context.text.replace(":", ": "), "{}", "[]", "", "\x00"):
        assert code_of(partial(Context.read, text)) == "wrong-statement"


def test_a_state_survives_its_text_at_every_step() -> None:
    stage = make_stage(5, colluders=0, fast_path=False)
    context = stage.context()
    offers = tuple(o for name in stage.names if (o := stage.advertise(name, context)))
    server = Server(stage, stage.dealing(Session(context, offers, {})))
    call = server.ask()
    server.finish(call, stage.names)
    state = state_of(stage)
    assert State.read(state.text) == state
    assert len(state.text) < 5_000, "small enough to be written at every step"
    server.ask(1, 2, theta=OTHER)
    assert not stage.refusals
