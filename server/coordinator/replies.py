"""Reading what hospitals have sent, in the ServerApp: what one of them sends harms no other reply.

Flower 1.41's Grid inflates all replies that have come in one go. Bytes that are no message raise
whatever a parser raises, out of the run, and all that had come with them is lost; whose answer a
reply is, is read from those same bytes; and their number has no bound. Here a reply that cannot be
read becomes an error of that reply, its metadata are those that the SuperLink has checked, and it
is of bounded size. tests/server/coordinator/test_replies.py holds what is set from outside against
the installed version.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flwr.app import Error, Message
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError
from flwr.superlink.grid import http_grid

from common.messages.wire import Bounded, NoMessage, read_message

MAX_OBJECTS, TOGETHER = 100, 8
UNREADABLE, OVERSIZE, INCOMPLETE = "unreadable-reply", "oversize-reply", "incomplete-reply"


def guard_grid() -> None:
    """Have the Grid of this process read replies one by one."""
    http_grid.HttpGrid.pull_messages = pull_messages  # type: ignore[method-assign, assignment]


def pull_messages(grid: Any, message_ids: Iterable[str]) -> list[Message]:
    """Stand for `HttpGrid.pull_messages`: return the replies that have come to these messages."""
    wanted = PullAppMessagesRequest(message_ids=message_ids)
    came = grid._runtime_client.PullMessages(wanted)
    pairs = zip(came.messages_list, came.message_object_trees, strict=True)
    with ThreadPoolExecutor(TOGETHER) as pool:  # one that is slow to come holds up no other
        return list(pool.map(lambda pair: _reply(grid, *pair), pairs))


def _reply(grid: Any, head: Any, tree: ObjectTree) -> Message:
    """Return one reply, or an error in its place."""
    metadata = message_from_proto(head).metadata
    client, node, run = grid._runtime_client, grid.node, metadata.run_id
    pull = make_pull_object_fn_protobuf(client.PullObject, node=node, run_id=run)
    content, error = None, None
    try:
        found = read_reply(tree, pull)
        content, error = (None, found.error) if found.has_error() else (found.content, None)
    except UnreadableReply as problem:
        error = Error(ErrorCode.MESSAGE_UNAVAILABLE, str(problem))
    if not error or error.reason != INCOMPLETE:  # what has come need not be kept
        received = ConfirmMessageReceivedRequest(
            node=node, run_id=run, message_object_id=metadata.message_id
        )
        client.ConfirmMessageReceived(received)
    return make_message(metadata=metadata, content=content, error=error)


class UnreadableReply(Exception):
    """A reply that is none; its text is a short code."""


def read_reply(tree: ObjectTree, pull: Callable[[str], bytes]) -> Message:
    """Return the message whose objects a tree names; pull: an object's bytes by its name.

    Raises:
        UnreadableReply: it is too large, incomplete, or no message.
    """
    names, bounded = [part.object_id for part in iterate_object_tree(tree)], Bounded(pull)
    if len(names) > MAX_OBJECTS:
        raise UnreadableReply(OVERSIZE)
    try:
        contents = vars(http_grid)["pull_objects"](names, bounded)
    except ObjectPullError:
        raise UnreadableReply(INCOMPLETE) from None
    if bounded.over:
        raise UnreadableReply(OVERSIZE)
    try:
        return read_message(tree.object_id, contents)
    except NoMessage:
        raise UnreadableReply(UNREADABLE) from None
