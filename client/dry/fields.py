"""Every field of every message that a hospital sends: what it could reveal, and what covers it.

A field that is not listed here is an error: nothing leaves that nobody has described.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flwr.app import RecordDict

from common.messages import HELLO, UPDATE
from common.messages.frame import DTYPE, HEAD, VECTOR
from common.messages.purposes import INPUT
from common.messages.purposes import VOTES as MASKED_VOTES
from common.messages.votes import VOTES
from common.study import Study

NOTHING = "nothing of patients"
_ECHO = NOTHING, "an echo of the request"
_KEYS = NOTHING, "random keys of one session, signed by this site"
_ABOUT = {
    ("version",): (NOTHING, "a constant"),
    (DTYPE,): (NOTHING, "a constant"),
    ("study",): ("that this site takes part in the study", "the hospital's approval"),
    ("round",): _ECHO,
    ("turn",): _ECHO,
    ("release",): _ECHO,
    ("task",): _ECHO,
    (HELLO, "site"): ("this site's name", "it is public in the study's roster"),
    ("offer",): _KEYS,
    ("cells",): (NOTHING, "shares of random keys, each sealed for one site"),
    ("signature",): ("who took part in the sum", "the sum is over them all"),
    ("shares",): (
        "with those of the threshold's sites: the sum, and no part of it",
        "never both of a site's secrets; signed after all inputs are in",
    ),
}


class Field(NamedTuple):
    """A field as it would leave: type, shape, bytes, what it tells and what covers it."""

    message: str
    name: str
    kind: str
    shape: str
    bytes: int
    reveals: str
    covered: str


def fields_of(message: str, content: RecordDict, study: Study) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        KeyError: a field is not described here.
    """
    size = 0
    for record in content.config_records.values():
        for name, value in record.items():
            if name == VECTOR and isinstance(value, bytes):
                size += len(value)
            else:
                yield _field(message, name, value)
    if size:
        kind = np.dtype(str(content[HEAD][DTYPE]))
        shape = str(size // kind.itemsize)
        yield Field(message, VECTOR, kind.name, shape, size, *_covers(message, study))


def _field(message: str, name: str, value: object) -> Field:
    about = _ABOUT[message, name] if (message, name) in _ABOUT else _ABOUT[name,]
    size = len(value) if isinstance(value, bytes | str) else 8
    return Field(message, name, type(value).__name__, "", size, *about)


def _covers(message: str, study: Study) -> tuple[str, str]:
    """Return what the vector of an update could reveal, and what protects it."""
    if message in (INPUT, MASKED_VOTES.route("input")):
        reveals = "nothing by itself; in the sum over sites, what noise leaves of it"
        noise = _noise(study) if message == INPUT else _votes_noise(study)
        return reveals, noise + ", then masks of all other sites: uniform numbers"
    if message == VOTES:
        return "what noise leaves of how many patients have which scores", _votes_noise(study)
    if message == UPDATE and study.privacy.noise_multiplier:
        reveals = "what noise leaves of how patients change the model; facts of the whole site"
        return reveals, _noise(study)
    if message == UPDATE:
        return "patients' rows: they can be computed from it", "nothing: public data only"
    raise KeyError(message)


def _votes_noise(study: Study) -> str:
    return f"noise of {study.evaluation.metric_std:g} patients on each count, a debit in the ledger"


def _noise(study: Study) -> str:
    privacy = study.privacy
    return (
        f"groups of {study.group_size} clipped to {privacy.clip_norm:g}, "
        f"noise of {privacy.noise_multiplier:g} clips, a debit in the ledger"
    )
