"""What a child process tells its parent: one JSON object a line, on the child's stdout.

Whatever else a library prints goes to stderr. The parent believes the form of a line and no more: a
line that is too long or no JSON object is passed over.
"""

import json
import os
from collections.abc import Iterator
from threading import Lock
from typing import IO, Any

MAX_LINE = 16_384
Event = dict[str, Any]


class Events:
    """The child's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lock = descriptor, Lock()

    @classmethod
    def on_stdout(cls) -> "Events":
        """Take stdout for events; what is printed from now on goes to stderr."""
        own = os.dup(1)
        os.dup2(2, 1)
        return cls(own)

    def send(self, event: str, **fields: Any) -> None:
        """Send one event; a parent that is gone is not waited for."""
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        if len(line) > MAX_LINE:
            line = json.dumps({"event": event, "cut": True}).encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                return


def read_events(stream: IO[bytes]) -> Iterator[Event]:
    """Return the events of a child until its end."""
    whole = True
    while line := stream.readline(MAX_LINE):
        if whole and line.endswith(b"\n"):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event
        whole = line.endswith(b"\n")
