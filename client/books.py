"""What a hospital keeps of its releases: the ledger that they are paid from, and the last ones.

A release is debited first, drawn then, and stored before it is sent; a crash between any two of
these may waste a debit, never gain a release.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from client.account import Kind
from client.identity import read_identity
from client.ledger import Ledger
from client.stored import Key, Vector, find, forget_before, keep, reveal

RELEASES = "releases"


class Due(NamedTuple):
    """A release that is asked for.

    key: its round of a run, and the SHA-256 of what it is made from. parameters: what it will be
    made with, which the study's reservation holds it to.
    """

    kind: Kind
    study: str
    key: Key
    parameters: Mapping[str, float]


@dataclass(frozen=True)
class Books:
    """A hospital's ledger, and the folder of its stored releases."""

    ledger: Ledger
    releases: Path

    def paid(self, due: Due, make: Callable[[], Vector], *, fresh: bool) -> Vector:
        """Return the release that is due: the stored one, or a new one that is paid for.

        fresh: a sum that holds the stored one may be known, so that it must not be sent again.

        Raises:
            PrivacyError: the round had another theta, or the ledger refuses the debit.
        """
        key = due.key
        stored = find(self.releases, key)
        if stored and not stored.revealed and not fresh:
            return stored.vector
        if stored:
            reveal(self.releases, key)
        line = self.ledger.debit(
            due.kind,
            study=due.study,
            run=key.run,
            round_index=key.round_index,
            theta_sha256=key.theta_sha256,
            parameters=due.parameters,
        )
        vector = make()
        keep(self.releases, key, vector, debit=line)
        if due.kind == "gradient":  # of metrics there are few, and any of them may be asked for
            forget_before(self.releases, key.run, key.round_index)
        return vector


def open_books(folder: Path) -> Books:
    """Return the books in a site's state folder.

    Raises:
        PrivacyError: there is no ledger, or it cannot be relied upon.
    """
    ledger = Ledger.open(folder, read_identity(folder), time.time)
    return Books(ledger, folder / RELEASES)
