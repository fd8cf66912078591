"""What sums are masked for: each purpose has messages, sessions and memory of its own."""

from dataclasses import dataclass
from typing import Literal, get_args

from common.crypto import digest

Phase = Literal["advertise", "deal", "input", "confirm", "reveal"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Purpose:
    """A purpose; name: the first word of its messages, and of what a site keeps for it."""

    name: str

    def route(self, phase: Phase) -> str:
        """Return the name of a phase's handler at the sites."""
        return f"{self.name}_{phase}"

    def message_type(self, phase: Phase) -> str:
        """Return Flower's message type of a phase."""
        return f"{'train' if phase == 'input' else 'query'}.{self.route(phase)}"

    def terms(self, study: str) -> str:
        """Return what a session's context names as its study.

        It differs between purposes, so that no key, share or signature of one serves another.
        """
        return study if self == UPDATES else digest("wardround/purpose/v1", self.name, study).hex()


UPDATES, VOTES = Purpose("masking"), Purpose("votes")
ADVERTISE, DEAL, INPUT, CONFIRM, REVEAL = map(UPDATES.route, PHASES)
"""The handlers of the phases of a round."""
