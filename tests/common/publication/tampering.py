"""Copies of a published folder to tamper with, and what the checks say of them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import settings

from common.crypto import SigningKey, fresh_key
from common.publication.checks import Check, check_folder

EXAMPLES = settings(max_examples=60, deadline=None)
MALLORY = SigningKey(fresh_key())


class Published(NamedTuple):
    """signed: of a real run. other: of another run of the same study, signed by the same key."""

    signed: Path
    unsigned: Path
    other: Path
    quick: Path
    key: str


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(shutil.copytree(folder, Path(place) / "copy"))


def failed(folder: Path, key: str = "") -> set[str]:
    """Return the names of the checks that do not hold."""
    return {check.name for check in check_folder(folder, key=key) if not check.holds}


def found(folder: Path, name: str) -> Check:
    return next(check for check in check_folder(folder) if check.name == name)
