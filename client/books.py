"""What a hospital keeps of its releases: the ledger that they are paid from, and the last ones.

A release is debited first, drawn then, and stored before it is sent; a crash between any two of
these may waste a debit, never gain a release.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.identity import read_identity
from client.ledger import Ledger
from client.stored import Key, find, forget_before, keep, reveal
from common.messages import Instruction
from common.privacy.cost import gradient_parameters, planned_rounds
from common.study import Study

RELEASES = "releases"


@dataclass(frozen=True)
class Books:
    """A hospital's ledger, and the folder of its stored releases."""

    ledger: Ledger
    releases: Path

    def paid(
        self,
        study: Study,
        instruction: Instruction,
        make: Callable[[], NDArray[np.float32]],
        *,
        run: str,
        fresh: bool,
    ) -> NDArray[np.float32]:
        """Return the release for an instruction: the stored one, or a new one that is paid for.

        fresh: a sum that holds the stored one may be known, so that it must not be sent again.

        Raises:
            PrivacyError: the round had another theta, or the ledger refuses the debit.
        """
        theta = hashlib.sha256(instruction.theta.numpy().astype("<f4").tobytes()).hexdigest()
        key = Key(run, instruction.round_index, theta)
        stored = find(self.releases, key)
        if stored and not stored.revealed and not fresh:
            return np.asarray(stored.vector, dtype=np.float32)
        if stored:
            reveal(self.releases, key)
        line = self.ledger.debit(
            "gradient",
            study=study.id,
            run=run,
            round_index=instruction.round_index,
            theta_sha256=theta,
            parameters=gradient_parameters(planned_rounds(study), study.privacy.clip_norm or 0.0),
        )
        vector = make()
        keep(self.releases, key, vector, debit=line)
        forget_before(self.releases, run, instruction.round_index)
        return vector


def open_books(folder: Path) -> Books:
    """Return the books in a site's state folder.

    Raises:
        PrivacyError: there is no ledger, or it cannot be relied upon.
    """
    ledger = Ledger.open(folder, read_identity(folder), time.time)
    return Books(ledger, folder / RELEASES)
