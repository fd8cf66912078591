"""A turn from end to end: the unmasked sum is the plaintext's, bit for bit, or there is none."""

from collections.abc import Callable, Collection
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidMessage
from common.privacy.masking import turns
from common.privacy.masking.keys import Binding, commitment, self_key
from common.privacy.masking.ring import Words, mask_stream
from common.privacy.masking.rules import threshold_of
from common.privacy.masking.session import Session
from common.privacy.masking.shamir import PRIME, combine, split, weights_at_zero
from common.privacy.masking.statements import Card, Deck, Survival
from common.privacy.masking.unmask import Evidence, Shares, recover, unmask
from simulation.attack.oracle import Oracle
from simulation.attack.server import Server, call_of, survival_of
from simulation.attack.stage import Stage, make_stage

Spoil = Callable[[str, bytes], bytes]


def turn(
    server: Server,
    number: int,
    asked: tuple[str, ...],
    *,
    lost: tuple[Collection[str], Collection[str], Collection[str]] = ((), (), ()),
    spoil: Spoil = lambda site, shares: shares,
) -> Words:
    """The sum of round `number`, of whose three phases some sites' replies are lost."""
    stage, session = server.stage, server.session
    call = call_of(session, number, number + 1, asked)
    inputs = {site: stage.masked_input(site, call) for site in asked if site not in lost[0]}
    survivors = tuple(inputs)
    if len(survivors) < session.context.threshold:
        raise InvalidMessage("few", "too few", where="test", remedy="")
    signers = [site for site in survivors if site not in lost[1]]
    quick = survivors == asked and session.context.fast_path
    answers = {
        site: stage.confirm(site, number, survivors, server.cells(call, site) if quick else b"")
        for site in signers
    }
    signatures = {site: answer.signature for site, answer in answers.items() if answer}
    told = {site: answer.shares for site, answer in answers.items() if answer}
    if not quick:
        told = {
            site: told_by
            for site in signers
            if site not in lost[2]
            and (told_by := stage.reveal(site, number, signatures, server.cells(call, site)))
        }
    position = stage.roster.position
    shares = Shares.read({position(s): spoil(s, told[s]) for s in told}, asked)
    survival = survival_of(call, survivors)
    evidence = Evidence(survival, call.deck, shares, session.context.threshold)
    return unmask({s: words for s, words in inputs.items() if words is not None}, evidence)


def plain(stage: Stage, sites: Collection[str], round_index: int) -> Words:
    total: Words = np.sum([stage.words(s, round_index) for s in sites], axis=0, dtype=np.uint64)
    return total


def server_of(sites: int, *, fast_path: bool = True, dim: int = 4) -> Server:
    stage = make_stage(sites, colluders=0, min_cohort=3, fast_path=fast_path, dim=dim)
    return Server(stage, stage.set_up())


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 9), st.booleans(), st.data())
def test_down_to_the_threshold_sites_may_be_lost_in_any_phase(
    sites: int, fast_path: bool, data: st.DataObject
) -> None:
    server = server_of(sites, fast_path=fast_path)
    names, spare = server.stage.names, sites - threshold_of(sites)
    gone: list[str] = []
    losses = []
    for _ in range(3):  # all phases together lose no more than the threshold allows
        few = st.lists(st.sampled_from(names), unique=True, max_size=spare - len(gone))
        losses.append(set(data.draw(few)) - set(gone))
        gone += sorted(losses[-1])
    total = turn(server, 0, names, lost=(losses[0], losses[1], losses[2]))
    assert np.array_equal(total, plain(server.stage, set(names) - losses[0], 1))
    assert not server.stage.refusals


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_with_one_site_less_than_the_threshold_there_is_no_sum(phase: int) -> None:
    server = server_of(6, fast_path=False)  # 5 of 6 are needed
    lost: list[Collection[str]] = [(), (), ()]
    lost[phase] = server.stage.names[:2]
    with pytest.raises(InvalidMessage):
        turn(server, 0, server.stage.names, lost=(lost[0], lost[1], lost[2]))


def test_turns_follow_on_each_other_with_other_sites_and_some_are_left_out() -> None:
    server = server_of(6)
    stage, names = server.stage, server.stage.names
    assert np.array_equal(turn(server, 0, names), plain(stage, names, 1))
    assert np.array_equal(turn(server, 2, names[1:]), plain(stage, names[1:], 3))
    assert not stage.refusals


def test_a_site_that_never_dealt_is_never_asked_and_the_others_do_without_it() -> None:
    stage = make_stage(6, colluders=0, min_cohort=3)
    whole = stage.set_up()
    dealt = {site: cells for site, cells in whole.dealt.items() if site != "Cedar"}
    server = Server(stage, Session(whole.context, whole.offers, dealt))
    names = tuple(site for site in stage.names if site != "Cedar")
    assert server.session.members == names
    assert np.array_equal(turn(server, 0, names), plain(stage, names, 1))


def test_wrong_shares_cost_time_and_not_the_sum() -> None:
    server = server_of(7)  # 5 of 7 are needed: two may lie
    liars = {"Birch", "Fir"}
    spoil: Spoil = lambda site, shares: bytes(len(shares)) if site in liars else shares  # noqa: E731
    total = turn(server, 0, server.stage.names, spoil=spoil)
    assert np.array_equal(total, plain(server.stage, server.stage.names, 1))
    lost = (("Ash",), (), ())
    with pytest.raises(InvalidMessage) as caught:  # a liar more than there are to spare
        turn(server, 1, server.stage.names, lost=lost, spoil=spoil)
    assert caught.value.code == "bad-shares"


def test_a_share_that_was_made_to_give_another_secret_is_found_out() -> None:
    """The liar knows all other shares, and sends what makes 32 bytes of its choice of them."""
    rng, secret, chosen = Random(4), bytes(range(32)), b"x" * 32
    shares = split(secret, threshold=3, positions=range(1, 5), below=rng.randrange)
    weights = weights_at_zero((1, 2, 3))
    rest = sum(weights[x] * int.from_bytes(shares[x - 1], "big") for x in (2, 3))
    value = (int.from_bytes(chosen, "big") - rest) * pow(weights[1], -1, PRIME) % PRIME
    told = {1: value.to_bytes(66, "big"), 2: shares[1], 3: shares[2], 4: shares[3]}
    assert combine({x: told[x] for x in (1, 2, 3)}) == chosen
    card = Card(
        site="Ash", seal="0" * 64, mask="0" * 64, commitment=commitment("c" * 64, 0, "Ash", secret)
    )
    survival = Survival(
        context="c" * 64,
        turn=0,
        round=1,
        deck="0" * 64,
        theta="0" * 64,
        asked=("Ash",),
        survivors=("Ash",),
    )
    deck = Deck(context="c" * 64, turn=0, cards=(card,))
    assert Evidence(survival, deck, Shares({"Ash": told}), 3).seed("Ash") == secret


def test_a_secret_is_found_among_many_shares_of_which_some_are_wrong() -> None:
    secret = bytes(range(32))
    shares = split(secret, threshold=14, positions=range(1, 21), below=Random(3).randrange)
    found = dict(enumerate(shares, start=1)) | dict.fromkeys((2, 7, 19), shares[0])
    assert recover(found, 14, lambda candidate: candidate == secret) == secret


def view_of(dim: int, negated: Collection[str], monkeypatch: pytest.MonkeyPatch) -> Words:
    """What the coordinator has of each input when its self-mask is off: [sites, d]."""
    server = server_of(4, dim=dim)
    monkeypatch.setattr(
        "simulation.attack.stage.vector",
        lambda site, round_index, dim: np.full(dim, 1000.0 * (-1) ** (site in negated)),
    )
    masked = {}
    call = call_of(server.session, 0, 1, server.stage.names)
    for site in server.stage.names:
        masked[site] = server.stage.masked_input(site, call)
    server.finish(call, call.asked)
    seeds = Oracle(server.stage)._seeds
    rows = []
    for site, words in masked.items():
        binding = Binding(call.deck.context, 0, survival_of(call, call.asked).theta)
        key = self_key(seeds[call.deck.context, 0, site], binding, site)
        assert words is not None
        rows.append(np.subtract(words, mask_stream(key, dim)))
    return np.stack(rows)


def test_beyond_the_sum_the_view_of_the_coordinator_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two sets of inputs with one sum: both views are uniform, and any three rows independent."""
    dim = 4096
    for negated in (("Ash", "Birch"), ("Cedar", "Elm")):
        view = view_of(dim, negated, monkeypatch)
        assert not view.sum(axis=0, dtype=np.uint64).any(), "the sum is what it should be"
        # 4 rows of 32,768 bytes in 256 bins: chi-square has mean 255, standard deviation 22.6.
        for row in view:
            counts = np.bincount(row.view(np.uint8), minlength=256)
            chi_square = float(((counts - dim / 32) ** 2 / (dim / 32)).sum())
            assert abs(chi_square - 255) < 5 * 22.6
        rows = view[:3].view(np.int64).astype(float)
        assert np.abs(np.corrcoef(rows) - np.eye(3)).max() < 5 / dim**0.5


def test_without_pair_masks_the_view_would_be_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "pair_key", lambda *args: bytes(32))
    view = view_of(4, ("Ash",), monkeypatch)
    mask = mask_stream(bytes(32), 4)
    # Ash is first of four: it adds three masks, and its vector lies open beneath them.
    assert ((view[0] - 3 * mask).view(np.int64) == -1000 * 2**32).all()
