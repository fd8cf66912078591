"""What every message is made of: a head of plain fields, and perhaps one vector.

A vector is bytes in the head, little-endian, beside its dtype; what is beyond PART_BYTES stands in
records of its own. Flower moves each record as an object with questions of its own, and an
ArrayRecord would be three more (docs/decisions/0024-vectors-as-bytes.md).

Everything is checked where it is read: exact keys, types, length, dtype, finiteness, norm.
"""

from typing import Any

import numpy as np
import torch
from flwr.app import ConfigRecord, Error, Message, RecordDict
from numpy.typing import NDArray
from torch import Tensor

from common.errors import InvalidMessage

VERSION = 2
HEAD, VECTOR, DTYPE = "head", "vector", "dtype"
PART_BYTES = 8 * 2**20
_PARTS = "vector-{}"
Head = dict[str, str | int | bytes]


def reply(message: Message, content: RecordDict) -> Message:
    """Return the reply to `message`."""
    return Message(content, reply_to=message)


def error_reply(message: Message, code: str) -> Message:
    """Return a reply that says only a reason code: never the text of an exception."""
    return Message(Error(code=2, reason=code), reply_to=message)


def content_of(head: Head, vector: NDArray[Any] | None = None) -> RecordDict:
    """Return the content with this head, the version added, and this vector [d], if any."""
    head = {"version": VERSION, **head}
    if vector is None:
        return RecordDict({HEAD: ConfigRecord({**head})})
    data = vector.astype(vector.dtype.newbyteorder("<")).tobytes()
    first, *others = (data[i : i + PART_BYTES] for i in range(0, len(data), PART_BYTES))
    head |= {DTYPE: vector.dtype.name, VECTOR: first}
    records = {_PARTS.format(i): ConfigRecord({VECTOR: part}) for i, part in enumerate(others, 1)}
    return RecordDict({HEAD: ConfigRecord({**head}), **records})


def read_head(content: RecordDict, keys: dict[str, type], *, vector: bool = False) -> Head:
    """Return the head of a content that holds these fields, without its vector, if it has one.

    Raises:
        InvalidMessage: it holds anything else.
    """
    head = content.get(HEAD)
    if not isinstance(head, ConfigRecord):
        raise invalid("wrong-schema", "the message does not hold the records of its kind")
    if type(head.get("version")) is int and head["version"] != VERSION:
        raise invalid("wrong-version", "the other side speaks another version of the protocol")
    if any(name != HEAD and not (vector and name.startswith(VECTOR)) for name in content):
        raise invalid("wrong-schema", "the message does not hold the records of its kind")
    expected = {"version": int} | keys | ({DTYPE: str, VECTOR: bytes} if vector else {})
    if {name: type(value) for name, value in head.items()} != expected:
        raise invalid("wrong-schema", "the message's head does not hold the fields of its kind")
    return {
        name: value
        for name, value in head.items()
        if isinstance(value, str | int | bytes) and name not in (DTYPE, VECTOR)
    }


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
    """Return the vector [dim] of this dtype; it cannot be written to.

    Raises:
        InvalidMessage: it is something else.
    """
    wire = np.dtype(dtype).newbyteorder("<")
    head, size = content[HEAD], dim * wire.itemsize
    if head.get(DTYPE) != wire.name:
        raise invalid("wrong-dtype", f"the vector is not of {wire.name}")
    names = [HEAD, *(_PARTS.format(part) for part in range(1, -(-size // PART_BYTES)))]
    if set(content) != set(names):
        raise invalid("wrong-shape", f"the vector has not the records of {dim} numbers")
    parts = [content[name] for name in names]
    if not all(isinstance(part, ConfigRecord) and set(part) == {VECTOR} for part in parts[1:]):
        raise invalid("wrong-schema", "a part of the message is not of a vector")
    data = [value for part in parts if isinstance(value := part[VECTOR], bytes)]
    if sum(map(len, data)) != size:
        raise invalid("wrong-shape", f"the vector has not the length of {dim} numbers")
    whole = data[0] if len(data) == 1 else b"".join(data)
    return np.frombuffer(whole, dtype=wire)


def invalid(code: str, what: str) -> InvalidMessage:
    """Return the error of a message that breaks the contract."""
    return InvalidMessage(
        code, what, where="message", remedy="check that both sides run the same version and study"
    )
