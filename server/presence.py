"""Who of a study's sites can be asked now.

A site that lets a deadline pass is away: it is not waited for again until it says hello. Nodes that
have come, or come back, are greeted beside the rounds; nobody waits for their answers. So a dead
site costs one deadline, and one that joins late needs no restart.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from common.messages import HELLO_TYPE, Greeting, hello_request, read_greeting
from common.study import Study
from server.exchange import Outcome, Phase, Post, pull, push

POLL_S = 0.05


@dataclass
class Presence:
    """The nodes of a study's sites. away: those not to be waited for.

    A study that names no sites takes all that answer. A name that a present node holds is not given
    to another one. bound: the node of each enrolled key, by the name that it was enrolled under, or
    None while that cannot be told; then a name counts from that node only. Without `bound`, a node
    is believed the name that it says.
    """

    grid: Post
    study: Study
    clock: Callable[[], float] = time.monotonic
    bound: Callable[[], Mapping[str, int] | None] | None = None
    node_of: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    _waiting: dict[str, int] = field(default_factory=dict)
    _greeted: dict[int, float] = field(default_factory=dict)
    _heard: dict[int, Greeting] = field(default_factory=dict)

    @property
    def here(self) -> dict[str, int]:
        """The node of each site that can be asked."""
        return {site: node for site, node in self.node_of.items() if site not in self.away}

    def leave(self, sites: Iterable[str]) -> None:
        """Note that sites have let a deadline pass."""
        for site in sites:
            self.away.add(site)
            self._greeted.pop(self.node_of[site], None)

    @property
    def quiet(self) -> bool:
        """Whether all that were greeted have answered."""
        return not self._waiting

    def refresh(self) -> None:
        """Greet nodes that may be sites, and take in what has been answered meanwhile."""
        phase = Phase(
            message_type=HELLO_TYPE,
            round_index=0,
            deadline_s=self.study.server.deadline_s,
            enough=0,
        )
        if new := self._strangers(phase.deadline_s):
            content = hello_request(self.study.id)
            self._waiting = {k: node for k, node in self._waiting.items() if node not in new}
            self._waiting |= push(self.grid, dict.fromkeys(new, content), phase)
            self._greeted |= dict.fromkeys(new, self.clock())
        answers: Outcome[Greeting] = Outcome()
        pull(self.grid, self._waiting, read_greeting, answers)
        self._heard |= answers.accepted
        self._take_in()

    def await_quorum(self, cohort: Sequence[str]) -> None:
        """Refresh until a quorum of the cohort is here, or one deadline has gone by."""
        server, wanted = self.study.server, set(cohort)
        quorum, end = math.ceil(server.quorum * len(cohort)), self.clock() + server.deadline_s
        self.refresh()
        while len(wanted & set(self.here)) < quorum and self.clock() < end:
            time.sleep(POLL_S)
            self.refresh()

    def _strangers(self, again_s: float) -> list[int]:
        """Return the nodes online that are no site here, and were not greeted a moment ago."""
        known, now = set(self.here.values()), self.clock()
        return [
            node
            for node in self.grid.get_node_ids()
            if node not in known
            and (node not in self._greeted or now - self._greeted[node] >= again_s)
        ]

    def _take_in(self) -> None:
        """Believe what was heard; if nobody can say whose keys they are, keep it for later."""
        bound = self.bound() if self.bound and self._heard else {}
        if bound is None:
            return
        for node, greeting in sorted(self._heard.items()):
            if self.bound is None or bound.get(greeting.site) == node:
                self._take(node, greeting)
        self._heard.clear()

    def _take(self, node: int, greeting: Greeting) -> None:
        listed = {site.name for site in self.study.sites}
        if greeting.study == self.study.id and (not listed or greeting.site in listed):
            if greeting.site in self.here:
                return
            self.node_of[greeting.site] = node
            self.away.discard(greeting.site)
