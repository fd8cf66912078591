"""What the executor asks of Flower, in words of our own; client/executor/flower.py fulfils it."""

from typing import Protocol

from flwr.app import Message


class TaskLost(Exception):
    """The task is ours no longer: nothing can be answered, and another is claimed.

    code: `run-stopped`, `task-expired`, `connection-lost` or `runtime-refused`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unreachable(Exception):
    """The SuperNode does not answer, or refuses our secret; asked again later."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unreadable(Exception):
    """The message of a task cannot be read: too large, or not what Flower writes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Task(Protocol):
    """One claimed request; nothing of its content has been read yet.

    run, node: Flower's ids. kind: the message type, as the coordinator has written it. group: its
    round, in the coordinator's words. bundle: the app bundle as received, never unpacked.
    """

    run: int
    node: int
    kind: str
    group: str
    bundle: bytes

    def message(self) -> Message:
        """Return the message with its content.

        Raises:
            Unreadable: it is too large or damaged.
            TaskLost: the task is ours no longer.
        """
        ...

    def answer(self, reply: Message) -> None:
        """Hand the reply over; raises TaskLost."""
        ...

    def refuse(self, code: str) -> None:
        """Answer with a reason code and nothing else; raises TaskLost."""
        ...

    def close(self) -> None:
        """End heartbeats and connection; never raises."""
        ...


class TaskQueue(Protocol):
    """Where tasks are claimed."""

    def claim(self) -> Task | None:
        """Return the oldest task that waits, if any; raises Unreachable or TaskLost."""
        ...
