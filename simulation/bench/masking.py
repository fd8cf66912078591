"""What secure aggregation costs: `python -m simulation.bench.masking --sites 100 --dim 100000`.

One site's work, with all of its peers played by real members whose replies are made beforehand. The
set-up is shown as a whole and spread over the turns that it serves.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from client.masking import Masker, MemoryStore, milliseconds
from common.crypto import SigningKey, digest
from common.messages.masked import input_content
from common.messages.wire import wire_size
from common.privacy.masking.member import Seat
from common.privacy.masking.ring import Words
from common.privacy.masking.roster import Roster, RosterSite
from common.privacy.masking.rules import TURNS, Policy, threshold_of, today_of
from common.privacy.masking.session import Session
from common.privacy.masking.statements import Call, Context, Deck, Signed, Survival, theta_digest
from common.privacy.masking.turns import Confirmation
from common.privacy.masking.unmask import Evidence, Shares, unmask

THETA = theta_digest(b"a model")
STUDY = digest("a study").hex()
T = TypeVar("T")


class Row(NamedTuple):
    """A piece of work and its CPU milliseconds, the median of its repetitions."""

    name: str
    milliseconds: float


@dataclass(frozen=True)
class Bench:
    """Members of a federation with `dim` parameters."""

    members: dict[str, Masker]
    roster: Roster
    dim: int
    turns: int

    def context(self) -> Context:
        """Return a new session's context."""
        return Context(
            federation=self.roster.federation,
            study=STUDY,
            roster=self.roster.hash,
            cohort=tuple(self.members),
            threshold=threshold_of(len(self.members)),
            turns=self.turns,
            dim=self.dim,
            opened=milliseconds(),
            fast_path=True,
        )


def make_bench(sites: int, dim: int, turns: int) -> Bench:
    """Return members who all know each other."""
    names = [f"site-{i:04}" for i in range(sites)]
    keys = {name: SigningKey(digest(name)) for name in names}
    today = today_of(milliseconds())
    listed = tuple(
        RosterSite(
            name=name,
            public_key=key.public.hex(),
            weight=1.0,
            not_before=today,
            not_after=today.replace(year=today.year + 1, day=1),
        )
        for name, key in keys.items()
    )
    roster = Roster(federation="bench", epoch=1, sites=listed)
    policy = Policy(study=STUDY, dim=dim)
    members = {
        name: Masker(Seat(name, key, roster, policy), MemoryStore()) for name, key in keys.items()
    }
    return Bench(members, roster, dim, turns)


def measure(sites: int, dim: int, turns: int, rounds: int) -> list[Row]:
    """Return one site's work and the coordinator's; the first two rows are of a whole session."""
    bench, clock = make_bench(sites, dim, turns), Clock()
    session = set_up(bench, clock)
    for turn in range(rounds):
        take_turn(bench, session, turn, clock, lost=0)
    take_turn(bench, session, rounds, clock, lost=sites - session.context.threshold)
    rows = [Row(name, statistics.median(values)) for name, values in clock.taken.items()]
    whole = sum(row.milliseconds for row in rows if row.name.startswith("set-up"))
    each = sum(row.milliseconds for row in rows if row.name in {MASK, CONFIRM})
    return [
        *rows,
        Row("a site's round without dropouts, in all", each),
        Row(f"a site's set-up, per turn of {turns}", whole / turns),
    ]


MASK, CONFIRM = "a site: mask the input", "a site: confirm, with shares"


class Clock:
    """CPU milliseconds by name of what was timed; nothing here is spread over cores."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Return what the work returns."""
        started = time.process_time()
        result = work()
        self.taken.setdefault(name, []).append((time.process_time() - started) * 1000)
        return result


def set_up(bench: Bench, clock: Clock) -> Session:
    """Return a session; the first site's work is timed."""
    context = bench.context()
    first, *others = bench.members.values()
    offers: list[Signed] = [clock.time("set-up: advertise", lambda: first.advertise(context.text))]
    offers += [member.advertise(context.text) for member in others]
    dealt = {first.seat.name: clock.time("set-up: deal", lambda: first.deal(offers))}
    dealt |= {member.seat.name: member.deal(offers) for member in others}
    return Session(context, tuple(offers), dealt)


def take_turn(bench: Bench, session: Session, turn: int, clock: Clock, *, lost: int) -> None:
    """Go through a turn of which some sites' inputs are lost; the first site's work is timed."""
    names = tuple(bench.members)
    call = Call(deck=session.deck(turn), round=turn + 1, asked=names)
    update = np.random.default_rng(turn).normal(size=bench.dim)
    inputs: dict[str, Words] = {}
    first, *rest = names[: len(names) - lost]

    def ask(site: str) -> Words:
        return bench.members[site].masked_input(call, THETA, lambda: update)

    inputs[first] = clock.time(MASK, lambda: ask(first))
    inputs |= {site: ask(site) for site in rest}
    told = _told(bench, session, call, tuple(inputs), clock, quick=not lost)
    position = bench.roster.position
    shares = Shares.read({position(site): shares for site, shares in told.items()}, names)
    survival = _survival(call, tuple(inputs))
    evidence = Evidence(survival, call.deck, shares, session.context.threshold)
    name = f"the coordinator: unmask, {lost} lost"
    total = clock.time(name, lambda: unmask(inputs, evidence))
    if np.abs(total.view(np.int64) / 2.0**32 - len(inputs) * update).max() > len(inputs) * 2.0**-32:
        raise AssertionError("the sum is wrong")


def _told(
    bench: Bench,
    session: Session,
    call: Call,
    survivors: Sequence[str],
    clock: Clock,
    *,
    quick: bool,
) -> dict[str, bytes]:
    """Return the shares that the survivors tell."""
    turn, asked = call.deck.turn, call.asked
    cells = {site: session.cells(turn, site, asked) for site in survivors}

    def confirm(site: str) -> Confirmation:
        return bench.members[site].confirm(turn, survivors, cells[site] if quick else b"")

    def reveal(site: str) -> bytes:
        return bench.members[site].reveal(turn, signatures, cells[site])

    first, *rest = survivors
    name = CONFIRM if quick else "a site: confirm, without shares"
    answers = {first: clock.time(name, partial(confirm, first))}
    answers |= {site: confirm(site) for site in rest}
    signatures = {site: answer.signature for site, answer in answers.items()}
    if quick:
        return {site: answer.shares for site, answer in answers.items()}
    told = {first: clock.time("a site: reveal", partial(reveal, first))}
    return told | {site: reveal(site) for site in rest}


def _survival(call: Call, survivors: tuple[str, ...]) -> Survival:
    return Survival(
        context=call.deck.context,
        turn=call.deck.turn,
        round=call.round,
        deck=call.deck.digest,
        theta=THETA,
        asked=call.asked,
        survivors=survivors,
    )


def _blank_call() -> Call:
    return Call(deck=Deck(context="0" * 64, turn=0, cards=()), round=1, asked=())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("sites", 100), ("dim", 100_000), ("turns", TURNS), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    for row in measure(given.sites, given.dim, given.turns, given.rounds):
        sys.stdout.write(f"{row.milliseconds:10.1f} ms  {row.name}\n")
    up = wire_size(input_content(_blank_call(), np.zeros(given.dim, dtype=np.uint64)))
    sys.stdout.write(f"{up / given.dim:10.3f} bytes a parameter of a masked input on the wire\n")


if __name__ == "__main__":
    main()
