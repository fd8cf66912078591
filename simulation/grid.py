"""Flower's Grid in one process: the real apps, no ports, no Ray, nothing between them but a call.

With `serialise` every message and reply goes through Flower's own wire format and back, so what a
deployment would refuse is refused here. With `fault` replies are spoiled, to see what the round
engine does with them.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from common.messages.wire import wire_objects, wire_size
from simulation.faults import Fault, spoil

log = logging.getLogger("wardround.grid")

PlantFault = Callable[[int, int], Fault | None]
"""(round, node id) to the fault that the node's reply suffers; the roll call is round 0."""


class InProcessGrid(Grid):
    """A Grid whose nodes are the given contexts of one ClientApp.

    contexts: by node id; a virtual site's node config holds its partition id. on_round: called with
    a round's number when the server asks for it. bytes_sent, bytes_received: what the payloads took
    on the wire, counted if `serialise`.
    """

    def __init__(
        self,
        app: ClientApp,
        contexts: Mapping[int, Context],
        *,
        serialise: bool = False,
        fault: PlantFault = lambda round_index, node: None,
        on_round: Callable[[int], None] = lambda round_index: None,
    ) -> None:
        # Flower keeps the identity of the running task process-wide; Message() reads it.
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
        self._app, self._contexts = app, dict(contexts)
        self._serialise, self._fault, self._on_round = serialise, fault, on_round
        self._run = Run.create_empty(run_id=1)
        self._replies: dict[str, list[Message]] = {}
        self._late: dict[str, list[Message]] = {}
        self.bytes_sent = self.bytes_received = 0

    def set_run(self, run: Run) -> None:
        """Take the run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's description."""
        return self._run

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Refuse: Flower has deprecated it."""
        raise NotImplementedError("build a flwr.app.Message")

    def get_node_ids(self) -> Iterable[int]:
        """Return all node ids: every virtual site is online."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Sequence[str]:
        """Hand each message to its node at once; return the ids, empty for an unknown node."""
        batch = list(messages)
        self._replies |= self._late
        self._late = {}
        if batch:
            self._on_round(int(batch[0].metadata.group_id or 0))
        return [self._deliver(message) for message in batch]

    def pull_messages(self, message_ids: Iterable[str]) -> Sequence[Message]:
        """Return the replies that have come, each once."""
        return [reply for key in list(message_ids) for reply in self._replies.pop(key, [])]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Sequence[Message]:
        """Push, then pull."""
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> str:
        node = message.metadata.dst_node_id
        if node not in self._contexts:
            return ""
        key = message.metadata.__dict__["_message_id"] = uuid.uuid4().hex
        fault = self._fault(int(message.metadata.group_id or 0), node)
        request = self._wire(message)
        self.bytes_sent += self._size(message)
        try:
            reply = self._app(request, self._contexts[node])
        except Exception as error:  # what Flower's own runtime does with a failing app
            log.exception("the client app of node %d failed", node)
            reply = Message(Error(code=2, reason=type(error).__name__), reply_to=request)
        reply = self._wire(spoil(reply, request, fault) if fault else reply)
        self.bytes_received += self._size(reply)
        if fault is not Fault.DROP:
            arrivals = self._late if fault is Fault.DELAY else self._replies
            arrivals[key] = [reply] * (2 if fault is Fault.DUPLICATE else 1)
        return key

    def _wire(self, message: Message) -> Message:
        """Return the message as it is after Flower's serialisation, content copied bit for bit."""
        if not self._serialise or message.has_error():
            return message
        contents = wire_objects(message)
        copy = cast(Message, inflate_object_from_contents(message.object_id, contents))
        copy.metadata.__dict__["_message_id"] = message.metadata.message_id
        return copy

    def _size(self, message: Message) -> int:
        if not self._serialise or message.has_error():
            return 0
        return wire_size(message)
