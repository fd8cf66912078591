"""One round of an approved study, and its votes, offline: the messages and their bytes.

The same functions make them as in a real round, on the same patients. The ledger is a copy, so that
nothing is paid; the noise is fresh. What is written down would be a release if it left, one that
nobody has paid for: it stays in the hospital, mode 0600.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from flwr.app import RecordDict
from torch import Tensor

from client.books import open_books
from client.dry.fields import Field, fields_of
from client.dry.masked import Said, masked_messages
from client.gate.gate import Admitted
from client.lines import LEDGER_BOOK
from client.masked_app import weighted
from client.release import release
from client.site import Opened, open_site
from client.site_keys import IDENTITY_FILE
from client.votes import made_from, release_votes
from common.errors import SettingsError
from common.messages import (
    HELLO,
    UPDATE,
    Greeting,
    Instruction,
    greeting_content,
    update_content,
)
from common.messages.purposes import VOTES as MASKED_VOTES
from common.messages.votes import VOTES, VotesRequest, votes_content
from common.messages.wire import wire_objects
from common.parameters import flatten
from common.privacy.ballots import ballots_of
from common.privacy.masking.statements import theta_digest


class Rehearsed(NamedTuple):
    """A message that would leave: its fields, and its objects' bytes by SHA-256."""

    message: str
    fields: list[Field]
    objects: dict[str, bytes]


def rehearse(admitted: Admitted) -> list[Rehearsed]:
    """Return the messages of the study's first round, from its own beginning, in their order.

    Raises:
        WardroundError: as in a real round.
    """
    study = admitted.study
    with _paying_for_show(admitted) as opened:
        begun = flatten(opened.learner.initial)
        said = list(_messages(admitted, opened, Instruction(study.id, 1, begun)))
    return [Rehearsed(m, list(fields_of(m, c, study)), wire_objects(c)) for m, c in said]


def rehearse_update(admitted: Admitted) -> None:
    """Compute the update of the study's first round, and forget it.

    Raises:
        WardroundError: as in a real round.
    """
    with _paying_for_show(admitted) as opened:
        asked = Instruction(admitted.study.id, 1, flatten(opened.learner.initial))
        _update(opened, asked)


def write_rehearsal(rehearsed: list[Rehearsed], folder: Path) -> None:
    """Write a folder for each message, a file for each of its objects, named by its SHA-256.

    Raises:
        SettingsError: the folder exists.
    """
    if folder.exists():
        raise SettingsError(
            "the folder exists", where=str(folder), remedy="name another one, or remove it"
        )
    folder.mkdir(parents=True, mode=0o700)
    for number, one in enumerate(rehearsed, start=1):
        place = folder / f"{number}-{one.message}"
        place.mkdir(mode=0o700)
        for name, data in one.objects.items():
            descriptor = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)


@contextmanager
def _paying_for_show(admitted: Admitted) -> Iterator[Opened]:
    """Open the study's site with a copy of its ledger, which is thrown away."""
    opened = open_site({"node": str(admitted.hospital.folder)}, {}, admitted.study.id)
    with tempfile.TemporaryDirectory(prefix="dry-run-") as scratch:
        if opened.books is not None:
            opened = opened._replace(books=open_books(_copy(admitted, Path(scratch))))
        yield opened


def _messages(admitted: Admitted, opened: Opened, asked: Instruction) -> Iterator[Said]:
    yield HELLO, greeting_content(Greeting(opened.site.name, asked.study))
    if admitted.study.privacy.profile == "masked":
        update = weighted(opened, asked, run="dry run")
        theta = theta_digest(asked.theta.detach().float().numpy().astype("<f4").tobytes())
        yield from masked_messages(opened, admitted.hospital.rules.limits, theta, update)
    else:
        yield UPDATE, _update(opened, asked)
    yield from _votes(admitted, opened, asked.theta)


def _votes(admitted: Admitted, opened: Opened, theta: Tensor) -> Iterator[Said]:
    """Yield the votes on the first diagnosis that this site votes on; the others' are alike."""
    study, ballots = admitted.study, ballots_of(admitted.study).planned
    own = next((ballot for ballot in ballots if opened.site.name in ballot.declared), None)
    if own is None:
        return
    request = VotesRequest(study.id, own.release, own.task, theta)
    counts = release_votes(opened, request)
    if study.privacy.profile == "masked":
        made, limits = bytes.fromhex(made_from(request)), admitted.hospital.rules.limits
        vector = counts.astype(float)
        yield from masked_messages(opened, limits, theta_digest(made), vector, MASKED_VOTES)
    else:
        yield VOTES, votes_content(request, counts)


def _update(opened: Opened, asked: Instruction) -> RecordDict:
    torch.set_num_threads(1)  # as in a real round: the sum's order is part of its bits
    return update_content(asked.study, asked.round_index, release(opened, asked, run="dry run"))


def _copy(admitted: Admitted, scratch: Path) -> Path:
    """Return a folder with a copy of the ledger, to pay from for show."""
    state = admitted.hospital.state
    for name in (IDENTITY_FILE, LEDGER_BOOK.file, LEDGER_BOOK.anchor):
        shutil.copy2(state / name, scratch / name)
    return scratch
