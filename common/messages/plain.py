"""The roll call, and updates that are not masked."""

from dataclasses import dataclass

from flwr.app import RecordDict
from torch import Tensor

from common.messages.frame import content_of, read_floats, read_head, require_same

HELLO, UPDATE = "hello", "update"
HELLO_TYPE, UPDATE_TYPE = f"query.{HELLO}", f"train.{UPDATE}"


@dataclass(frozen=True)
class Instruction:
    """What the server asks of a site in a round: an update for `theta` [d]."""

    study: str
    round_index: int
    theta: Tensor


@dataclass(frozen=True)
class Greeting:
    """What a site says of itself when asked."""

    site: str
    study: str


def hello_request(study: str) -> RecordDict:
    """Return the request that a site says who it is, if it takes part in the study of this id."""
    return content_of({"study": study})


def greeting_content(greeting: Greeting) -> RecordDict:
    """Return a site's answer to `hello_request`."""
    return content_of({"site": greeting.site, "study": greeting.study})


def read_greeting(content: RecordDict) -> Greeting:
    """Return the checked greeting.

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    head = read_head(content, {"site": str, "study": str})
    return Greeting(site=str(head["site"]), study=str(head["study"]))


def instruction_content(instruction: Instruction) -> RecordDict:
    """Return the message content of an instruction."""
    return update_content(instruction.study, instruction.round_index, instruction.theta)


def read_instruction(content: RecordDict, *, dim: int) -> Instruction:
    """Return the checked instruction, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    head = read_head(content, {"study": str, "round": int}, vector=True)
    return Instruction(str(head["study"]), int(head["round"]), read_floats(content, dim=dim))


def update_content(study: str, round_index: int, update: Tensor) -> RecordDict:
    """Return the message content of a site's update [d]."""
    vector = update.detach().float().numpy()
    return content_of({"study": study, "round": round_index}, vector)


def read_update(
    content: RecordDict, *, study: str, round_index: int, dim: int, max_norm: float
) -> Tensor:
    """Return the checked update [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study or round.
    """
    head = read_head(content, {"study": str, "round": int}, vector=True)
    require_same(head["study"], study, "wrong-study", "the update belongs to another study")
    stale = f"the update is of round {head['round']!r}, not {round_index}"
    require_same(head["round"], round_index, "stale-round", stale)
    return read_floats(content, dim=dim, max_norm=max_norm)
