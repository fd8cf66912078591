"""The round engine: ask the sites, aggregate what they send, step, record, save; and again.

A round closes when enough of the asked sites have answered well, or at its deadline if there is a
quorum. Without one it is tried again; after the last attempt the run is paused: the state is saved,
`QuorumNotReached` is raised, and a later start goes on from there. Success is never reported on
nothing.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from common.aggregation import WeightedSum, weighted_sum
from common.errors import QuorumNotReached
from common.messages import UPDATE_TYPE, Instruction, instruction_content, read_update
from common.randomness import generator
from common.study import Study
from common.study_sections import ServerSettings
from server.exchange import Outcome, Phase, Post, exchange
from server.presence import POLL_S, Presence
from server.robust import combine
from server.state import RoundRecord, ServerState

GONE = ("deadline", "error-5")
"""Reasons for which a site is not waited for again: silence, or no heartbeat (Flower's code 5)."""


@dataclass(frozen=True)
class Roster:
    """The sites of a run: weights, which no site asserts, and who of them is there."""

    presence: Presence
    weight_of: Mapping[str, float]

    @property
    def node_of(self) -> Mapping[str, int]:
        """The node ids of sites that have ever answered, as they come."""
        return self.presence.node_of


def call_roll(
    grid: Post, study: Study, bound: Callable[[], Mapping[str, int] | None] | None = None
) -> Roster:
    """Return the roster: asks every online node for its name until all named sites are there.

    A study that names no sites takes all that answer, with equal weights. Nodes that hold another
    study, are not on its list, or claim a name that another node holds, are left out; with `bound`
    those too that claim a name under which another key was enrolled.

    Raises:
        QuorumNotReached: at the deadline fewer sites than the quorum have answered.
    """
    listed = {site.name: site.weight for site in study.sites}
    server, presence = study.server, Presence(grid, study, bound=bound)
    end = time.monotonic() + server.deadline_s
    presence.refresh()
    while time.monotonic() < end and not _complete(presence, set(listed)):
        time.sleep(POLL_S)
        presence.refresh()
    if len(presence.here) < max(1, math.ceil(server.quorum * len(listed))):
        raise QuorumNotReached(
            f"only {len(presence.here)} of the sites answered within {server.deadline_s:g} s",
            where="roll call",
            remedy="start the missing sites with this very study, then resume",
        )
    return Roster(presence, listed or dict.fromkeys(sorted(presence.here), 1.0))


def _complete(presence: Presence, listed: set[str]) -> bool:
    return bool(presence.here) and (listed <= set(presence.here) if listed else presence.quiet)


def draw_cohort(
    sites: list[str], server: ServerSettings, *, seed: int, round_index: int
) -> list[str]:
    """Return the sites asked in a round, sorted: all, or `sites_per_round` drawn from the seed."""
    if not 0 < server.sites_per_round < len(sites):
        return sites
    rng = generator(seed, "cohort", round_index)
    return sorted(rng.choice(sites, size=server.sites_per_round, replace=False).tolist())


@dataclass(frozen=True)
class Answers:
    """What asking a cohort brought: the sum of usable updates, of whom, and why not of others."""

    updates: WeightedSum
    accepted: tuple[str, ...]
    dropped: Mapping[str, str]


Ask = Callable[[ServerState, Sequence[str]], Answers]
"""Asks the sites of a cohort for their updates of the next round; it raises for nobody's fault."""

Save = Callable[[ServerState, RoundRecord], None]


@dataclass(frozen=True)
class RoundEngine:
    """Runs a study's rounds with its sites.

    save: called after every attempt at a round. hold: called with the number of rounds that are
    done before each; it returns when the next may begin, or raises.
    """

    study: Study
    sites: Sequence[str]
    ask: Ask
    seed: int
    save: Save
    hold: Callable[[int], None] = lambda done: None

    def run(self, state: ServerState) -> ServerState:
        """Return the state after the study's last round.

        Raises:
            QuorumNotReached: a round had no quorum in any of its attempts.
            RunStopped: a person has stopped it.
        """
        while state.round_index < self.study.server.rounds:
            self.hold(state.round_index)
            state = self.round(state)
        return state

    def round(self, state: ServerState) -> ServerState:
        """Return the state after one more round.

        Raises:
            QuorumNotReached: it had no quorum in any of its attempts.
        """
        index, server = state.round_index + 1, self.study.server
        cohort = draw_cohort(sorted(self.sites), server, seed=self.seed, round_index=index)
        quorum = math.ceil(server.quorum * len(cohort))
        for attempt in range(1, server.attempts + 1):
            started = time.monotonic()
            answers = self.ask(state, cohort)
            closed = len(answers.accepted) >= quorum
            seconds = round(time.monotonic() - started, 3)
            if closed:
                state = state.stepped(self.study, answers.updates.mean())
            accepted, dropped, ended = answers.accepted, dict(answers.dropped), int(time.time())
            self.save(state, RoundRecord(index, attempt, closed, accepted, dropped, seconds, ended))
            if closed:
                return state
        raise QuorumNotReached(
            f"{len(accepted)} of {len(cohort)} sites gave a usable update, {quorum} are needed; "
            f"the others: {', '.join(sorted(set(dropped.values())))}",
            where=f"round {index}",
            remedy="the run is paused; mend the cause, then resume",
        )


@dataclass(frozen=True)
class GridAsk:
    """Asks the nodes of a roster over Flower's Grid."""

    grid: Post
    study: Study
    roster: Roster

    def __call__(self, state: ServerState, cohort: Sequence[str]) -> Answers:
        """Return the answers, summed in the order of the sites' names."""
        index, server, weight_of = state.round_index + 1, self.study.server, self.roster.weight_of
        nodes = self._there(cohort)
        content = instruction_content(Instruction(self.study.id, index, state.meta))
        read = partial(
            read_update,
            study=self.study.id,
            round_index=index,
            dim=state.meta.numel(),
            max_norm=server.max_update_norm,
        )
        phase = Phase(
            message_type=UPDATE_TYPE,
            round_index=index,
            deadline_s=server.deadline_s,
            enough=math.ceil(server.close_at * len(cohort)),
        )
        outgoing = dict.fromkeys(nodes.values(), content)
        outcome: Outcome[Tensor] = exchange(self.grid, outgoing, read, phase)
        accepted = {s: outcome.accepted[n] for s, n in nodes.items() if n in outcome.accepted}
        dropped = {site: self._missing(site) for site in cohort if site not in nodes}
        dropped |= {s: outcome.dropped[n] for s, n in nodes.items() if n in outcome.dropped}
        self.roster.presence.leave(site for site, why in dropped.items() if why in GONE)
        if self.study.privacy.aggregation != "mean":
            updates, lied = combine(self.study, accepted, state.meta.numel())
            kept = tuple(site for site in accepted if site not in lied)
            return Answers(updates, kept, dropped | lied)
        weighted = ((weight_of[site], update) for site, update in accepted.items())
        return Answers(weighted_sum(weighted, state.meta.numel()), tuple(accepted), dropped)

    def _there(self, cohort: Sequence[str]) -> dict[str, int]:
        """Return the nodes of the cohort's sites that can be asked; waits if they are too few."""
        presence = self.roster.presence
        presence.await_quorum(cohort)
        return {site: presence.here[site] for site in cohort if site in presence.here}

    def _missing(self, site: str) -> str:
        return "away" if site in self.roster.presence.away else "absent"
