"""One turn of secure aggregation as the coordinator sees it: inputs, confirmation, reveal, sum."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from flwr.app import RecordDict

from common.crypto import verify
from common.errors import InvalidMessage
from common.messages.masked import (
    ConfirmRequest,
    MaskedInstruction,
    RevealRequest,
    confirm_content,
    masked_instruction_content,
    read_confirmation,
    read_input,
    read_shares,
    reveal_content,
)
from common.privacy.masking.ring import Words
from common.privacy.masking.roster import Roster
from common.privacy.masking.session import Session
from common.privacy.masking.statements import CONFIRM, Call, Survival, theta_digest
from common.privacy.masking.turns import Confirmation
from common.privacy.masking.unmask import Evidence, Shares, unmask
from server.exchange import SiteOutcome
from server.masked_setup import Failed, Line
from server.state import ServerState


@dataclass(frozen=True)
class Request:
    """What a turn asks of its sites: a vector for this round; content: the message, of its call.

    theta: the hash of what the vectors are made from, which binds the masks.
    """

    round: int
    theta: str
    content: Callable[[Call], RecordDict]


@dataclass
class Turn:
    """A turn that has begun. proof: the signatures that sites are shown; told: shares, by site."""

    session: Session
    call: Call
    theta: str
    inputs: dict[str, Words]
    dropped: dict[str, str]
    signatures: dict[str, bytes] = field(default_factory=dict)
    proof: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, bytes] = field(default_factory=dict)

    @property
    def survivors(self) -> tuple[str, ...]:
        """The sites whose inputs have come, in the order in which they were asked."""
        return tuple(self.inputs)

    @property
    def quick(self) -> bool:
        """Whether shares come with the confirmation."""
        return self.session.context.fast_path and self.survivors == self.call.asked

    @property
    def survival(self) -> Survival:
        """The statement that the survivors sign."""
        return Survival(
            context=self.session.context.id,
            turn=self.call.deck.turn,
            round=self.call.round,
            deck=self.call.deck.digest,
            theta=self.theta,
            asked=self.call.asked,
            survivors=self.survivors,
        )

    def serves(self, request: Request) -> bool:
        """Return whether the turn is an attempt at the request."""
        return (self.call.round, self.theta) == (request.round, request.theta)

    def forget(self) -> None:
        """Forget what was told, and on the fast path who has: asked again, a site says the same."""
        self.told.clear()
        if self.quick:
            self.signatures.clear()

    def cells(self, site: str) -> bytes:
        """Return what is sealed for a site."""
        return self.session.cells(self.call.deck.turn, site, self.call.asked)


def update_request(study: str, state: ServerState) -> Request:
    """Return the request for the updates of a state's next round."""

    def content(call: Call) -> RecordDict:
        return masked_instruction_content(MaskedInstruction(study, call, state.meta))

    theta = theta_digest(state.meta.numpy().astype("<f4").tobytes())
    return Request(state.round_index + 1, theta, content)


def begin(
    line: Line,
    session: Session,
    number: int,
    asked: tuple[str, ...],
    request: Request,
    least: int,
) -> Turn:
    """Return a turn with the masked inputs that have come, be they few."""
    call = Call(deck=session.deck(number), round=request.round, asked=asked)
    read = partial(read_input, call=call, dim=session.context.dim)
    outgoing = dict.fromkeys(asked, request.content(call))
    message_type = line.purpose.message_type("input")
    outcome = line.ask(message_type, call.round, outgoing, read, least=least)
    return Turn(session, call, request.theta, outcome.accepted, outcome.dropped)


def finish(line: Line, turn: Turn, roster: Roster) -> tuple[Words, dict[str, str]]:
    """Return the sum [d] of the survivors' vectors, and who dropped out of the phases it took.

    What comes in stays in the turn, so that a second call asks for the rest only.

    Raises:
        Failed: fewer than t sites have confirmed or revealed, or too many shares are wrong.
    """
    threshold = turn.session.context.threshold
    dropped = _confirm(line, turn, roster)
    if len(turn.signatures) < threshold:
        raise Failed(turn.dropped | dropped)
    if not turn.quick:
        dropped |= _reveal(line, turn)
    position = roster.position
    shares = Shares.read({position(s): told for s, told in turn.told.items()}, turn.call.asked)
    try:
        total = unmask(turn.inputs, Evidence(turn.survival, turn.call.deck, shares, threshold))
    except InvalidMessage as error:
        turn.forget()  # who has told wrong shares cannot be known: all are asked again
        raise Failed(turn.dropped | dropped | dict.fromkeys(turn.told, error.code)) from error
    return total, dropped


def _confirm(line: Line, turn: Turn, roster: Roster) -> dict[str, str]:
    """Take the survivors' signatures, on the fast path with shares; return who dropped out."""
    number, text, quick = turn.call.deck.turn, turn.survival.text, turn.quick
    missing = [site for site in turn.survivors if site not in turn.signatures]
    outgoing = {
        site: confirm_content(
            line.study.id,
            ConfirmRequest(number, turn.survivors, turn.cells(site) if quick else b""),
        )
        for site in missing
    }
    read = partial(read_confirmation, turn=number, shares=len(turn.call.asked) if quick else 0)
    least = max(turn.session.context.threshold - len(turn.signatures), 0)
    outcome: SiteOutcome[Confirmation] = line.ask(
        line.purpose.message_type("confirm"), turn.call.round, outgoing, read, least=least
    )
    outcome.keep(lambda site, answer: _verify(roster, site, answer.signature, text))
    turn.signatures |= {site: answer.signature for site, answer in outcome.accepted.items()}
    if quick:
        turn.told |= {site: answer.shares for site, answer in outcome.accepted.items()}
    return outcome.dropped


def _verify(roster: Roster, site: str, signature: bytes, text: str) -> None:
    public = bytes.fromhex(roster.sites[roster.position(site) - 1].public_key)
    verify(public, signature, CONFIRM, text)


def _reveal(line: Line, turn: Turn) -> dict[str, str]:
    """Take the shares of those who have signed, and return who dropped out."""
    turn.proof = turn.proof or dict(turn.signatures)
    number, asked = turn.call.deck.turn, turn.call.asked
    missing = [site for site in turn.signatures if site not in turn.told]
    outgoing = {
        site: reveal_content(line.study.id, RevealRequest(number, turn.proof, turn.cells(site)))
        for site in missing
    }
    read = partial(read_shares, turn=number, shares=len(asked))
    least = max(turn.session.context.threshold - len(turn.told), 0)
    message_type = line.purpose.message_type("reveal")
    outcome = line.ask(message_type, turn.call.round, outgoing, read, least=least)
    turn.told |= outcome.accepted
    return outcome.dropped
