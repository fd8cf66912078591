"""The wire: what server and sites say to each other. No other module knows its keys.

    hello    server to site: nothing                  site to server: site, study
    update   server to site: theta [d], study, round  site to server: update [d], study, round

Vectors are float32 in one flat array. Everything is checked where it is read: exact keys, types,
shape, dtype, finiteness, norm. Only plain numbers are decoded, never objects. An update carries the
round's echo and the vector, and nothing else: no count, no loss, no name.
"""

from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from torch import Tensor

from common.errors import InvalidMessage

VERSION = 1
HELLO, UPDATE = "hello", "update"
HELLO_TYPE, UPDATE_TYPE = f"query.{HELLO}", f"train.{UPDATE}"
_HEAD, _BODY, _VECTOR = "head", "body", "vector"
_Head = dict[str, str | int]


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


def hello_request() -> RecordDict:
    """Return the request that a site says who it is."""
    return RecordDict({_HEAD: ConfigRecord({"version": VERSION})})


def greeting_content(greeting: Greeting) -> RecordDict:
    """Return a site's answer to `hello_request`."""
    head: _Head = {"version": VERSION, "site": greeting.site, "study": greeting.study}
    return RecordDict({_HEAD: ConfigRecord({**head})})


def read_greeting(content: RecordDict) -> Greeting:
    """Return the checked greeting.

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    head = _read_head(content, {"site": str, "study": str}, records={_HEAD})
    return Greeting(site=str(head["site"]), study=str(head["study"]))


def instruction_content(instruction: Instruction) -> RecordDict:
    """Return the message content of an instruction."""
    return _with_vector(instruction.study, instruction.round_index, instruction.theta)


def read_instruction(content: RecordDict, *, dim: int) -> Instruction:
    """Return the checked instruction, theta of shape [dim].

    Raises:
        InvalidMessage: the content breaks the contract.
    """
    head = _read_head(content, {"study": str, "round": int}, records={_HEAD, _BODY})
    theta = _read_vector(content, dim=dim, max_norm=float("inf"))
    return Instruction(str(head["study"]), int(head["round"]), theta)


def update_content(study: str, round_index: int, update: Tensor) -> RecordDict:
    """Return the message content of a site's update [d]."""
    return _with_vector(study, round_index, update)


def read_update(
    content: RecordDict, *, study: str, round_index: int, dim: int, max_norm: float
) -> Tensor:
    """Return the checked update [dim].

    Raises:
        InvalidMessage: the content breaks the contract or belongs to another study or round.
    """
    head = _read_head(content, {"study": str, "round": int}, records={_HEAD, _BODY})
    if head["study"] != study:
        raise _invalid("wrong-study", "the update belongs to another study")
    if head["round"] != round_index:
        raise _invalid("stale-round", f"the update is of round {head['round']}, not {round_index}")
    return _read_vector(content, dim=dim, max_norm=max_norm)


def reply(message: Message, content: RecordDict) -> Message:
    """Return the reply to `message`."""
    return Message(content, reply_to=message)


def error_reply(message: Message, code: str) -> Message:
    """Return a reply that says only a reason code: never the text of an exception."""
    return Message(Error(code=2, reason=code), reply_to=message)


def _with_vector(study: str, round_index: int, vector: Tensor) -> RecordDict:
    head: _Head = {"version": VERSION, "study": study, "round": round_index}
    array = Array(vector.detach().to(torch.float32).numpy())
    return RecordDict({_HEAD: ConfigRecord({**head}), _BODY: ArrayRecord({_VECTOR: array})})


def _read_head(content: RecordDict, keys: dict[str, type], *, records: set[str]) -> _Head:
    head = content.get(_HEAD)
    if set(content) != records or not isinstance(head, ConfigRecord):
        raise _invalid("wrong-schema", "the message does not hold the records of its kind")
    expected = {"version": int} | keys
    if {name: type(value) for name, value in head.items()} != expected:
        raise _invalid("wrong-schema", "the message's head does not hold the fields of its kind")
    if head["version"] != VERSION:
        raise _invalid("wrong-version", "the other side speaks another version of the protocol")
    return {name: value for name, value in head.items() if isinstance(value, str | int)}


def _read_vector(content: RecordDict, *, dim: int, max_norm: float) -> Tensor:
    body = content[_BODY]
    if not isinstance(body, ArrayRecord) or set(body) != {_VECTOR}:
        raise _invalid("wrong-schema", "the message's body is not one vector")
    try:
        vector = body[_VECTOR].numpy()  # what was declared beside the bytes is not trusted
    except Exception as error:
        raise _invalid("undecodable", "the vector's bytes cannot be decoded") from error
    if vector.dtype != np.float32:
        raise _invalid("wrong-dtype", f"the vector is {vector.dtype}, not float32")
    if vector.shape != (dim,):
        raise _invalid("wrong-shape", f"the vector has shape {vector.shape}, not ({dim},)")
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm):
        raise _invalid("not-finite", "the vector holds NaN or infinity")
    if norm > max_norm:
        raise _invalid("norm-too-large", f"the vector's norm is over {max_norm:g}")
    return torch.from_numpy(vector.copy())


def _invalid(code: str, what: str) -> InvalidMessage:
    return InvalidMessage(
        code, what, where="message", remedy="check that both sides run the same version and study"
    )
