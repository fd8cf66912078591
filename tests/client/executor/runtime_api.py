"""The SuperNode's own runtime API, and what stands behind it, in this process."""

import hashlib
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

SECRET = b"s" * 32
FAB = b"a bundle"
RUN, NODE = 11, 5


@dataclass
class SuperNode:
    """The runtime API and what stands behind it."""

    address: str
    state: Any
    store: Any

    def offer(self, content: RecordDict, *, damage: bytes | None = None, whole: bool = True) -> str:
        """Offer a message as flwr's own loop does; damage: bytes in place of its head object.

        whole: with its parts, which do not come any more when a run has ended meanwhile.
        """
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = RUN, 1, 1
        message = Message(content, NODE, "train.update", group_id="4")
        message.metadata.__dict__["_message_id"] = message.object_id
        objects = get_all_nested_objects(message)
        packed = {name: each.deflate() for name, each in objects.items()}
        tree = get_object_tree(message)
        if damage is not None:
            self.store.verify = False  # what a SuperNode that lies, or another store, would pass on
            name = hashlib.sha256(damage).hexdigest()
            packed, tree = {name: damage}, ObjectTree(object_id=name)
            message.metadata.__dict__["_message_id"] = name
        assert self.state.create_task("flwr-clientapp", RUN, fab_hash="f")
        self.store.preregister(RUN, tree)
        self.state.store_message(message)
        for name, data in packed.items() if whole else ():
            self.store.put(name, data)
        return str(message.metadata.message_id)

    def reply(self) -> Message:
        (message,) = self.state.get_messages_legacy(is_reply=True)
        return message  # type: ignore[no-any-return]
