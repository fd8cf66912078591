"""The audit log: everything that was received, decided and sent, in signed lines that are chained.

A line holds hashes, sizes, settings' names and reasons; never a patient's value, nor the text of an
exception that is not ours. A line is on the disk before what it tells of leaves the hospital.
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from client.chain import Chain, Clock
from client.identity import read_identity
from client.lines import AUDIT_BOOK, Line
from common.errors import InvalidMessage, WardroundError

RECEIVED, SENT, REFUSED, APPROVED, WITHDRAWN, REVIEWED = (
    "received",
    "sent",
    "refused",
    "approved",
    "withdrawn",
    "dry-run",
)
_LONGEST = 200


class AuditLog:
    """A hospital's audit log; several processes may write it in turn."""

    def __init__(self, chain: Chain, lines: list[Line]) -> None:
        self._chain, self.lines = chain, lines

    @classmethod
    def open(cls, state: Path, clock: Clock = time.time) -> "AuditLog":
        """Return the log in a state folder, every line of it verified; a first one is begun.

        Raises:
            PrivacyError: there is no identity; or the log is damaged, rolled back, another site's,
                or the clock stands before it; the error names the line.
        """
        identity = read_identity(state)
        if not any((state / name).exists() for name in (AUDIT_BOOK.file, AUDIT_BOOK.anchor)):
            return cls(Chain.create(state, identity, clock, AUDIT_BOOK), [])
        return cls(*Chain.open(state, identity, clock, AUDIT_BOOK))

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Write a line; it is on the disk when this returns. Texts from outside are cut short.

        Raises:
            PrivacyError: the log cannot be relied upon; then nothing may leave.
        """
        short = {k: v[:_LONGEST] if isinstance(v, str) else v for k, v in fields.items()}
        with self._chain.locked():
            self._chain.append(kind, short)


@lru_cache(maxsize=16)
def open_audit(state: Path) -> AuditLog:
    """Return the log of a state folder, verified once in a process and followed from then on."""
    return AuditLog.open(state)


def code_of(error: Exception) -> str:
    """Return all that the coordinator is told of a failure: a reason code, or the error's kind."""
    return error.code if isinstance(error, InvalidMessage) else type(error).__name__


def words_of(error: Exception) -> str:
    """Return what the hospital's own log says of a failure.

    Texts of our own errors never quote an entry; anybody else's may, and only its kind is told.
    """
    return str(error) if isinstance(error, WardroundError) else type(error).__name__
