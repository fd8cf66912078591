"""What every message is made of: a head of plain fields, and perhaps one vector.

Everything is checked where it is read: exact keys, types, shape, dtype, finiteness, norm.
"""

from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from numpy.typing import NDArray
from torch import Tensor

from common.errors import InvalidMessage

VERSION = 1
HEAD, BODY, VECTOR = "head", "body", "vector"
Head = dict[str, str | int | bytes]


def reply(message: Message, content: RecordDict) -> Message:
    """Return the reply to `message`."""
    return Message(content, reply_to=message)


def error_reply(message: Message, code: str) -> Message:
    """Return a reply that says only a reason code: never the text of an exception."""
    return Message(Error(code=2, reason=code), reply_to=message)


def content_of(head: Head, vector: NDArray[Any] | None = None) -> RecordDict:
    """Return the content with this head, the version added, and this vector, if any."""
    records: dict[str, Any] = {HEAD: ConfigRecord({"version": VERSION, **head})}
    if vector is not None:
        records[BODY] = ArrayRecord({VECTOR: Array(vector)})
    return RecordDict(records)


def read_head(content: RecordDict, keys: dict[str, type], *, vector: bool = False) -> Head:
    """Return the head of a content that holds these fields, and a vector or none.

    Raises:
        InvalidMessage: it holds anything else.
    """
    head = content.get(HEAD)
    if set(content) != ({HEAD, BODY} if vector else {HEAD}) or not isinstance(head, ConfigRecord):
        raise invalid("wrong-schema", "the message does not hold the records of its kind")
    expected = {"version": int} | keys
    if {name: type(value) for name, value in head.items()} != expected:
        raise invalid("wrong-schema", "the message's head does not hold the fields of its kind")
    if head["version"] != VERSION:
        raise invalid("wrong-version", "the other side speaks another version of the protocol")
    return {name: value for name, value in head.items() if isinstance(value, str | int | bytes)}


def study_of(content: RecordDict) -> str:
    """Return which study a request says that it is about, not yet checked; "" if it does not."""
    head = content.get(HEAD)
    study = head.get("study") if isinstance(head, ConfigRecord) else None
    return study if isinstance(study, str) else ""


def require_same(found: object, expected: object, code: str, what: str) -> None:
    """Return if both are equal.

    Raises:
        InvalidMessage: they are not, with this code.
    """
    if found != expected:
        raise invalid(code, what)


def read_floats(content: RecordDict, *, dim: int, max_norm: float = float("inf")) -> Tensor:
    """Return the checked vector [dim] of float32.

    Raises:
        InvalidMessage: it is something else, or its norm is too large.
    """
    vector = read_array(content, dim=dim, dtype=np.float32)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm):
        raise invalid("not-finite", "the vector holds NaN or infinity")
    if norm > max_norm:
        raise invalid("norm-too-large", f"the vector's norm is over {max_norm:g}")
    return torch.from_numpy(vector.copy())


def read_array(content: RecordDict, *, dim: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Return the vector [dim] of this dtype.

    Raises:
        InvalidMessage: it is something else.
    """
    body = content[BODY]
    if not isinstance(body, ArrayRecord) or set(body) != {VECTOR}:
        raise invalid("wrong-schema", "the message's body is not one vector")
    try:
        vector = body[VECTOR].numpy()  # what was declared beside the bytes is not trusted
    except Exception as error:
        raise invalid("undecodable", "the vector's bytes cannot be decoded") from error
    if vector.dtype != dtype:
        raise invalid("wrong-dtype", f"the vector is {vector.dtype}, not {dtype.__name__}")
    if vector.shape != (dim,):
        raise invalid("wrong-shape", f"the vector has shape {vector.shape}, not ({dim},)")
    return vector


def invalid(code: str, what: str) -> InvalidMessage:
    """Return the error of a message that breaks the contract."""
    return InvalidMessage(
        code, what, where="message", remedy="check that both sides run the same version and study"
    )
