"""What a data set is to a simulation, and how the files of a known one are checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import TableError
from common.patients import Patients
from common.study import Study


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Patients of several sites, and the study that reads them.

    study: features, diagnoses and patient groups; all else stands at its default.
    patients: by site, in order of name.
    note: attribution, and what the sites really are; a report prints it.
    held_out_sites, held_out_tasks: never trained on, unless a scenario says otherwise.
    validation_tasks: diagnoses set apart for tuning.
    probabilities: the true P(y = 1) [n, tasks] by site; a generator alone knows them.
    """

    name: str
    study: Study
    patients: Mapping[str, Patients]
    note: str
    held_out_sites: tuple[str, ...]
    held_out_tasks: tuple[str, ...]
    validation_tasks: tuple[str, ...]
    probabilities: Mapping[str, NDArray[np.float64]] | None = None


def verified(path: Path, *, size: int, digest: str, algorithm: str = "sha256") -> bytes:
    """Return the bytes of a file that has this size and digest (hex).

    Raises:
        TableError: the file is missing or is another one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            remedy="install or download the data set again",
        ) from error
    if (len(data), hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()) != (
        size,
        digest,
    ):
        raise TableError(
            "the file has been tampered with, or is another edition of the data",
            where=str(path),
            remedy=f"get the original of {size} bytes whose {algorithm} is {digest}",
        )
    return data
