"""The door of a node: every message that comes in, and every reply that goes out, passes here.

Whatever goes wrong behind it stays in the site's own logs; upward goes a reason code, never an
exception's text. At a hospital each passage is a line of its audit log (client/gate/audit.py),
written before the reply leaves; without that line nothing leaves.
"""

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import torch
from flwr.app import Context, Message

from client.gate.audit import RECEIVED, REFUSED, SENT, code_of, open_audit, words_of
from client.site_file import STATE
from common.errors import WardroundError
from common.messages import error_reply
from common.messages.frame import study_of
from common.messages.wire import wire_digest, wire_size

log = logging.getLogger("wardround.client")
Handler = Callable[[Message, Context], Message]


def door(handler: Handler) -> Handler:
    """Put a handler behind the door."""

    @wraps(handler)
    def guarded(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        node = str(context.node_config.get("node", ""))
        try:
            note(node, RECEIVED, message, message)
            reply = handler(message, context)
            note(node, SENT, message, reply)
        except Exception as error:
            return refuse(node, message, error)
        return reply

    return guarded


def note(node: str, kind: str, message: Message, moved: Message) -> None:
    """Write down that a message or its reply passes; a virtual site, without a node, keeps no log.

    Raises:
        PrivacyError: the log cannot be relied upon.
    """
    if node:
        passage = {"bytes": wire_size(moved.content), "sha256": wire_digest(moved.content)}
        open_audit(Path(node) / STATE).note(kind, _about(message) | passage)


def refuse(node: str, message: Message, error: Exception) -> Message:
    """Return the reply that says only a code, after writing down why."""
    words, code = words_of(error), code_of(error)
    log.error("%s refused: %s", message.metadata.message_type, words)
    if not isinstance(error, WardroundError):  # where it was raised; its text may quote an entry
        log.error("raised at\n%s", "".join(traceback.format_tb(error.__traceback__)))
    try:
        if node:
            about = _about(message) | {"code": code, "reason": words}
            open_audit(Path(node) / STATE).note(REFUSED, about)
    except WardroundError as broken:
        log.error("not in the audit log: %s", broken)
    return error_reply(message, code)


def _about(message: Message) -> dict[str, str]:
    metadata = message.metadata
    study = study_of(message.content) if message.has_content() else ""
    return {"message": metadata.message_type, "run": str(metadata.run_id), "study": study}
