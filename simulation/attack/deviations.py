"""A coordinator without a plan: in each phase it tells each site whatever it could tell it."""

from collections.abc import Callable, Sequence

from simulation.attack.server import OTHER, Server, call_of, server_of, survival_of
from simulation.attack.stage import THETA, Stage, make_stage

Choose = Callable[[Sequence[str]], str]
SITES = 5
"""Four of which are needed and two of which are colluders: 2t = 8 > 7 = k + f."""


def deviate(choose: Choose) -> Stage:
    """Return a stage after two turns in which `choose` has chosen what each site was told."""
    fast_path = choose(["fast", "fast", "slow"]) == "fast"
    stage = make_stage(SITES, colluders=2, min_cohort=3, fast_path=fast_path)
    server = server_of(stage)
    _Turn(server, 0, 1, choose).play()
    _Turn(server, int(choose("1110")), int(choose("12")), choose).play()
    return stage


class _Turn:
    """One turn; signatures: by statement, of all honest sites that have given theirs."""

    def __init__(self, server: Server, turn: int, round_index: int, choose: Choose) -> None:
        self.server, self.stage, self.choose = server, server.stage, choose
        self.turn, self.round_index = turn, round_index
        self.honest = [site for site in self.stage.names if site not in self.stage.colluders]
        self.signatures: dict[str, dict[str, bytes]] = {}

    def play(self) -> None:
        """Ask, then have confirmed and revealed, twice over; some are restarted in between."""
        split = self.choose(["one", "one", "split"]) == "split"
        common = self.most(self.stage.names)
        for site in self.honest:
            asked = self.most(self.stage.names) if split else common
            call = call_of(self.server.session, self.turn, self.round_index, asked)
            theta = self.choose([THETA] * 5 + [OTHER])
            self.stage.masked_input(site, call, theta)
        for _ in range(2):
            for site in self.honest:
                self.end(site, self.most(common) if split else common)

    def end(self, site: str, asked: Sequence[str]) -> None:
        """Have a site confirm some survivors, and reveal with all signatures that there are."""
        call = call_of(self.server.session, self.turn, self.round_index, tuple(asked))
        survivors = self.most(call.asked)
        found = self.server.confirm(call, survivors, [site])
        known = self.signatures.setdefault(survival_of(call, survivors).text, {})
        known.update(found)
        if self.choose(["on", "on", "kill"]) == "kill":
            self.stage.kill(site)
        if self.choose(["reveal", "wait"]) == "reveal":
            self.server.cheat(call, survivors, known, [site])

    def most(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names without one of them, or all."""
        missing = self.choose(["", "", *names])
        return tuple(name for name in names if name != missing)
