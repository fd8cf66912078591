"""One phase of a round on Flower's Grid: push to some nodes, take replies until enough or too late.

What comes in is checked reply by reply. A bad one is dropped with its reason, never the run.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from flwr.app import Error, Message, RecordDict

from common.errors import InvalidMessage
from common.pace import Pace

T = TypeVar("T")

GRACE_S, LONGEST_POLL_S, TOGETHER = 30.0, 1.0, 8
"""A message outlives its deadline by this much, so that a late reply still meets its message.

TOGETHER: so many messages are pushed at once. Flower shows nodes their messages before it has what
these contain, and who has to wait asks again and again.
"""


class Post(Protocol):
    """The part of `flwr.serverapp.Grid` that is used; any Grid will do."""

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the nodes that are online."""
        ...

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; return an id for each, in order, empty where the node is unknown."""
        ...

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have come; each is handed out once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Phase:
    """How a phase is run: message type, round, seconds until it closes, replies that suffice.

    poll_s: how long to wait at first between two looks at what has come.
    """

    message_type: str
    round_index: int
    deadline_s: float
    enough: int
    poll_s: float = 0.05


@dataclass
class Outcome(Generic[T]):
    """What a phase brought, by node: accepted results, and the reasons of those dropped."""

    accepted: dict[int, T] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)


def exchange(
    grid: Post, outgoing: Mapping[int, RecordDict], read: Callable[[RecordDict], T], phase: Phase
) -> Outcome[T]:
    """Return the outcome of one phase.

    outgoing: content by node id. read: checks and decodes a reply's content; an `InvalidMessage`
    that it raises drops the reply. A node's first reply counts, a second one changes nothing.
    """
    waiting = push(grid, outgoing, phase)
    outcome: Outcome[T] = Outcome()
    for node in set(outgoing) - set(waiting.values()):
        outcome.dropped[node] = "unknown-node"
    end, pace = time.monotonic() + phase.deadline_s, Pace(phase.poll_s, LONGEST_POLL_S)
    while True:
        pull(grid, waiting, read, outcome)
        if not waiting or len(outcome.accepted) >= phase.enough or time.monotonic() >= end:
            break
        time.sleep(min(pace.next(), max(0.0, end - time.monotonic())))
    reason = "closed" if len(outcome.accepted) >= phase.enough else "deadline"
    outcome.dropped |= dict.fromkeys(waiting.values(), reason)
    return outcome


@dataclass
class SiteOutcome(Generic[T]):
    """What a phase brought, by site."""

    accepted: dict[str, T]
    dropped: dict[str, str]

    def keep(self, check: Callable[[str, T], None]) -> None:
        """Drop what `check` finds to break the contract."""
        for site, result in list(self.accepted.items()):
            try:
                check(site, result)
            except InvalidMessage as error:
                self.dropped[site] = error.code
                del self.accepted[site]


def exchange_by_site(
    grid: Post,
    node_of: Mapping[str, int],
    outgoing: Mapping[str, RecordDict],
    read: Callable[[RecordDict], T],
    phase: Phase,
) -> SiteOutcome[T]:
    """Return the outcome of one phase with sites, whose nodes are `node_of`; order is kept."""
    nodes = {site: node_of[site] for site in outgoing}
    outcome = exchange(grid, {nodes[site]: outgoing[site] for site in outgoing}, read, phase)
    accepted, dropped = outcome.accepted, outcome.dropped
    return SiteOutcome(
        {site: accepted[node] for site, node in nodes.items() if node in accepted},
        {site: dropped[node] for site, node in nodes.items() if node in dropped},
    )


def push(grid: Post, outgoing: Mapping[int, RecordDict], phase: Phase) -> dict[str, int]:
    """Send, and return which node each message id waits for; an unknown node has none."""
    messages = [
        Message(
            content,
            node,
            phase.message_type,
            ttl=phase.deadline_s + GRACE_S,
            group_id=str(phase.round_index),
        )
        for node, content in outgoing.items()
    ]
    keys = [
        key
        for first in range(0, len(messages), TOGETHER)
        for key in grid.push_messages(messages[first : first + TOGETHER])
    ]
    return {key: node for key, node in zip(keys, outgoing, strict=True) if key}


def pull(
    grid: Post, waiting: dict[str, int], read: Callable[[RecordDict], T], outcome: Outcome[T]
) -> None:
    """Move what has come from `waiting` to the outcome, without waiting for more."""
    for message in grid.pull_messages(list(waiting)) if waiting else ():
        key = message.metadata.reply_to_message_id
        if key in waiting:
            _take(outcome, waiting.pop(key), message, read)


def _take(
    outcome: Outcome[T], node: int, message: Message, read: Callable[[RecordDict], T]
) -> None:
    if message.has_error():
        outcome.dropped[node] = _reason(message.error)
        return
    try:
        outcome.accepted[node] = read(message.content)
    except InvalidMessage as error:
        outcome.dropped[node] = error.code


def _reason(error: Error) -> str:
    """Return the error's code, with the site's own reason if that is one plain word."""
    word = error.reason or ""
    return f"error-{error.code}" + (f" {word}" if re.fullmatch(r"[A-Za-z-]{1,40}", word) else "")
