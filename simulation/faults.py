"""Faults that the in-process grid can plant between a site and the server."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from numpy.typing import NDArray

from common.messages import error_reply
from common.messages.frame import DTYPE, HEAD, VECTOR


class Fault(StrEnum):
    """What may happen to a reply on its way."""

    DROP = "drop"  # it never comes
    DELAY = "delay"  # it comes after its phase, with the next one
    ERROR = "error"  # the client app has failed
    NAN = "nan"
    WRONG_SHAPE = "wrong-shape"
    WRONG_DTYPE = "wrong-dtype"
    HUGE_NORM = "huge-norm"
    DUPLICATE = "duplicate"  # it comes twice
    STALE_ROUND = "stale-round"  # it answers an earlier round
    WRONG_KEYS = "wrong-keys"
    LYING_SHAPE = "lying-shape"  # the declared dtype is right, a byte is missing


PHASES = ("input", "confirm", "reveal")


@dataclass
class MaskedFault:
    """A fault at some nodes in one phase of secure aggregation in a round, once.

    Replies of a node are counted by round (`seen`); those of a session's first round begin with the
    two of the set-up, advertise and deal.
    """

    phase: str
    fault: Fault
    nodes: Collection[int]
    round_index: int = 2
    first_round: int = 1
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __call__(self, round_index: int, node: int) -> Fault | None:
        """Return the fault if this is its time and place."""
        number = self.seen[round_index, node]
        self.seen[round_index, node] += 1
        phases = ("advertise", "deal", *PHASES) if round_index == self.first_round else PHASES
        here = round_index == self.round_index and node in self.nodes and number < len(phases)
        return self.fault if here and phases[number] == self.phase else None


def spoil(reply: Message, request: Message, fault: Fault) -> Message:
    """Return the reply as the fault leaves it; DROP, DELAY and DUPLICATE are the grid's affair."""
    if fault is Fault.ERROR:
        return error_reply(request, "planted")
    if reply.has_error() or fault in {Fault.DROP, Fault.DELAY, Fault.DUPLICATE}:
        return reply
    head = dict(next(iter(reply.content.config_records.values())))
    spoiled = _spoiled(head, fault) if VECTOR in head else _garbled(head, fault)
    return Message(RecordDict({HEAD: ConfigRecord(spoiled)}), reply_to=request)


def _spoiled(head: dict[str, Any], fault: Fault) -> dict[str, Any]:
    if fault is Fault.STALE_ROUND:
        return head | {"round": head["round"] - 1}
    if fault is Fault.WRONG_KEYS:
        return head | {"surprise": 1}
    if fault is Fault.LYING_SHAPE:
        return head | {VECTOR: head[VECTOR][:-1]}
    vector = _distorted(np.frombuffer(head[VECTOR], dtype=head[DTYPE]), fault)
    return head | {VECTOR: vector.tobytes(), DTYPE: vector.dtype.name}


def _garbled(head: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """Return a head without a vector as the fault leaves it: its texts and bytes suffer."""
    if fault is Fault.STALE_ROUND:
        return {k: v - 1 if k == "turn" else v for k, v in head.items()}
    if fault is Fault.WRONG_KEYS:
        return head | {"surprise": 1}
    return {key: _twisted(value, fault) for key, value in head.items()}


def _twisted(value: Any, fault: Fault) -> Any:
    if not isinstance(value, str | bytes):
        return value
    if fault in {Fault.WRONG_SHAPE, Fault.LYING_SHAPE}:
        return value[:-1]
    if fault is Fault.WRONG_DTYPE:
        return value.encode() if isinstance(value, str) else value.hex()
    return value[::-1] if fault in {Fault.NAN, Fault.HUGE_NORM} else value


def _distorted(vector: NDArray[Any], fault: Fault) -> NDArray[Any]:
    if fault is Fault.NAN:
        return np.where(np.arange(len(vector)) == 0, np.float32("nan"), vector)
    if fault is Fault.WRONG_SHAPE:
        return vector[:-1]
    if fault is Fault.WRONG_DTYPE:
        return vector.astype(np.float64)
    huge = np.iinfo(vector.dtype).max if vector.dtype.kind == "u" else 1e30
    return np.full_like(vector, huge) if fault is Fault.HUGE_NORM else vector
