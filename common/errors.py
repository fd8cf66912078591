"""Errors that a user can act upon.

    WardroundError
    ├── SettingsError      a setting is unknown or outside its range
    ├── TableError         a patient table cannot be used as it is
    ├── RunFolderError     a run folder exists, is incomplete or is damaged
    ├── NonFiniteError     a loss, an update or an initialization is NaN or infinite
    ├── PrivacyError       what patients were promised would not be kept
    ├── InvalidMessage     a message breaks the wire contract
    │   ├── CryptoError    a signature, a seal or a key does not hold
    │   └── Refusal        a site does not take part this time; its state stays as it is
    ├── QuorumNotReached   too few sites answered; the run is paused, nothing is lost
    └── RunStopped         a person has stopped the run; nothing is lost

A message names the thing, the place and the remedy. It never quotes a patient's value.
"""

import copyreg
from typing import Any


class WardroundError(Exception):
    """What is wrong, where, and how to mend it, in one line.

    >>> str(WardroundError("rounds is -1", where="study.toml", remedy="give 1 or more"))
    'rounds is -1 (study.toml): give 1 or more'
    """

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(f"{what} ({where}): {remedy}")
        self.what, self.where, self.remedy = what, where, remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied by calling its class with the message, which lacks the keywords:
        # one raised in a worker process would be lost on its way to the parent.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingsError(WardroundError):
    """A setting is unknown or outside its range."""


class TableError(WardroundError):
    """A patient table cannot be used as it is."""


class RunFolderError(WardroundError):
    """A run folder exists already, is incomplete or is damaged."""


class NonFiniteError(WardroundError):
    """A loss, an update or an initialization is NaN or infinite."""


class PrivacyError(WardroundError):
    """What patients were promised would not be kept, or nobody can tell; nothing may leave."""


class InvalidMessage(WardroundError):
    """A message breaks the wire contract; `code` is the short reason that is recorded."""

    def __init__(self, code: str, what: str, *, where: str, remedy: str) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.code = code


class CryptoError(InvalidMessage):
    """A signature, a seal or a key does not hold."""


class Refusal(InvalidMessage):
    """A site does not take part this time; nothing of its state has changed."""


class QuorumNotReached(WardroundError):
    """Too few sites answered in time; the run is paused and can be resumed."""


class RunStopped(WardroundError):
    """A person has stopped the run; it can be resumed."""
