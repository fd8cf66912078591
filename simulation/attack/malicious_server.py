"""A coordinator that breaks the rules: 18 scripts, each played against real members.

Of the seven sites of a stage the last two are in league with it. Each script goes on where an
honest site would have stopped it, as far as it can: so a member that lacks a rule is found out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from simulation.attack import setup_scripts, turn_scripts
from simulation.attack.oracle import Oracle
from simulation.attack.stage import Stage

Outcome = Literal["aborted", "harmless", "broken"]


class ScriptResult(NamedTuple):
    """How a script ended, by its worst variant.

    aborted: honest sites refused. harmless: none had to, and the coordinator has learned one sum at
    most, over enough sites. broken: it has learned more.
    """

    number: int
    name: str
    outcome: Outcome


@dataclass(frozen=True)
class Script:
    """A way to cheat; `plays` yields a stage for each variant, when it has ended."""

    number: int
    name: str
    plays: Callable[[], Iterator[Stage]]

    def run(self) -> ScriptResult:
        """Play all variants; the worst outcome counts."""
        outcomes = {judged(stage) for stage in self.plays()}
        worst: Outcome = "harmless" if "harmless" in outcomes else "aborted"
        return ScriptResult(self.number, self.name, "broken" if "broken" in outcomes else worst)


def judged(stage: Stage) -> Outcome:
    """Return how a play has ended."""
    if Oracle(stage).broken():
        return "broken"
    refused = any(site not in stage.colluders for site, _ in stage.refusals)
    return "aborted" if refused else "harmless"


SCRIPTS = (
    Script(1, "key substitution", setup_scripts.substituted_keys),
    Script(2, "overlapping lists of survivors and dropped", turn_scripts.overlapping_lists),
    Script(3, "split views of the survivors", turn_scripts.split_survivors),
    Script(4, "split views of those asked", turn_scripts.split_calls),
    Script(5, "replay of an old phase", turn_scripts.replays),
    Script(6, "threshold of one", setup_scripts.low_thresholds),
    Script(7, "cohort of two", setup_scripts.tiny_cohorts),
    Script(8, "stale round or context", setup_scripts.stale_sessions),
    Script(9, "truncated shares", setup_scripts.truncated_parts),
    Script(10, "changed dimension, scale or ring", setup_scripts.changed_terms),
    Script(11, "forged signatures", turn_scripts.forged_signatures),
    Script(12, "a model of its own for a site", turn_scripts.different_models),
    Script(13, "second statement", turn_scripts.second_statements),
    Script(14, "expired, revoked or unknown key", setup_scripts.invalid_keys),
    Script(15, "point of low order", setup_scripts.low_order_points),
    Script(16, "isolation of a site", turn_scripts.isolation),
    Script(17, "kill between phases, then replay", turn_scripts.killed_between_phases),
    Script(18, "retry after reveal", turn_scripts.retries_after_reveal),
)


def run_scripts() -> list[ScriptResult]:
    """Play all scripts."""
    return [script.run() for script in SCRIPTS]
