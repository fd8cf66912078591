"""The executor: checks a request's bundle, asks the installed app, lets reason codes out only.

A request's path, in this order:

    claimed ─► bundle approved? ─► type known? ─► message read ─► app ─► reply checked ─► answered
                 wrong-bundle     unknown-message    oversize...    a code      wrong-reply

The bundle's bytes are hashed and never unpacked, written or run. The app gets the hospital's own
node config, an empty run config and an empty state: of what a coordinator has set, nothing but the
message reaches it.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Protocol

from flwr.app import Context, Message, RecordDict

from client.executor.codes import OTHER, clean_code
from client.executor.tasks import Task, TaskLost, TaskQueue, Unreachable, Unreadable
from client.logs import about
from common.errors import InvalidMessage
from common.pace import Pace

App = Callable[[Message, Context], object]
Value = str | int | float | bool
WRONG_BUNDLE, UNKNOWN, WRONG_REPLY = "wrong-bundle", "unknown-message", "wrong-reply"
NO_APPROVALS, UNSENDABLE = "no-approvals", "unsendable-reply"


class Report(Protocol):
    """Where the executor says what it did: numbers and codes, never a text of the app."""

    def __call__(self, event: str, **fields: Any) -> None:
        """Take one event."""


class Executor:
    """Answers the requests of a queue, one at a time.

    approved: SHA-256, in hex, of the bundles that the hospital has approved, asked each time.
    kinds: the message types that the app knows. note: writes into the hospital's audit log what was
    refused before the app saw it; called with message type, run and code.
    """

    def __init__(
        self,
        queue: TaskQueue,
        app: App,
        *,
        node_config: Mapping[str, Value],
        approved: Callable[[], frozenset[str]],
        kinds: frozenset[str],
        report: Report,
        note: Callable[[str, int, str], None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._queue, self._app, self._node_config = queue, app, node_config
        self._approved, self._kinds, self._report = approved, kinds, report
        self._note, self._pace = note, pace or Pace(0.02, 2.0)

    def serve(self, stopping: Event) -> None:
        """Claim and answer until `stopping` is set; the request in hand is finished."""
        while not stopping.is_set():
            if self.step():
                self._pace.reset()
            else:
                stopping.wait(self._pace.next())

    def step(self) -> bool:
        """Claim and answer one request; return whether there was one."""
        task: Task | None = None
        try:
            task = self._queue.claim()
            if task is not None:
                self._answer(task)
        except Unreachable as error:
            self._report("unreachable", code=error.code)
        except TaskLost as error:
            self._report("dropped", code=error.code)
        except Exception as error:  # the adapter's, for the app's are turned into codes
            self._report("dropped", code="broken-task", **about(error))
        finally:
            if task is not None:
                task.close()
        return task is not None

    def _answer(self, task: Task) -> None:
        began = time.monotonic()
        reply, code = self._decide(task)
        if reply is not None:
            code = self._send(task, reply)
        if code:
            task.refuse(code)
        self._report(
            "refused" if code else "answered",
            code=code,
            kind=self._kind(task),
            round=task.group if task.group.isdigit() and len(task.group) < 10 else "",
            seconds=round(time.monotonic() - began, 4),
        )

    def _send(self, task: Task, reply: Message) -> str:
        """Hand the reply over; return a code if it cannot be written down."""
        try:
            task.answer(reply)
        except TaskLost:
            raise
        except Exception as error:
            self._report("failed", **about(error))
            return UNSENDABLE
        return ""

    def _refusal(self, task: Task) -> str:
        """Return why the request is not even read, if so."""
        try:
            approved = self._approved()
        except Exception as error:
            self._report("failed", **about(error))
            return NO_APPROVALS
        if hashlib.sha256(task.bundle).hexdigest() not in approved:
            return WRONG_BUNDLE
        return "" if task.kind in self._kinds else UNKNOWN

    def _decide(self, task: Task) -> tuple[Message | None, str]:
        """Return a reply, or none and the code that says why."""
        if code := self._refusal(task):
            return None, self._noted(task, code)
        try:
            message = task.message()
            reply = self._app(message, self._context(task))
        except Unreadable as error:
            return None, self._noted(task, error.code)
        except TaskLost:
            raise
        except (Exception, SystemExit) as error:
            self._report("failed", **about(error))
            return None, _code_of(error)
        return _checked(reply, message)

    def _noted(self, task: Task, code: str) -> str:
        """Write a refusal down and return its code; a log that is broken changes nothing of it."""
        try:
            if self._note is not None:
                self._note(self._kind(task), task.run, code)
        except Exception as error:
            self._report("failed", **about(error))
        return code

    def _kind(self, task: Task) -> str:
        return task.kind if task.kind in self._kinds else OTHER

    def _context(self, task: Task) -> Context:
        return Context(task.run, task.node, dict(self._node_config), RecordDict(), {})


def _code_of(error: BaseException) -> str:
    return clean_code(error.code if isinstance(error, InvalidMessage) else type(error).__name__)


def _checked(reply: object, message: Message) -> tuple[Message | None, str]:
    """Return the app's reply if it is one to this message; of an error, its code alone."""
    if not isinstance(reply, Message):
        return None, WRONG_REPLY
    if reply.has_error():
        return None, clean_code(reply.error.reason)
    asked, given = message.metadata, reply.metadata
    if (given.reply_to_message_id, given.dst_node_id, given.run_id, given.message_type) != (
        asked.message_id,
        asked.src_node_id,
        asked.run_id,
        asked.message_type,
    ):
        return None, WRONG_REPLY
    return reply, ""
