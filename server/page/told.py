"""What a run says of itself, checked: a damaged file is said, and never ends the page."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import RunFolderError
from server.control import STATUS_FILE, Phase, Status, Wish, read_status, read_wish

T = TypeVar("T")
MOST_ROUNDS, YEAR_9999 = 10**9, 253_402_300_799


class _Plausible(BaseModel):
    """A status that can be shown: server/control.py reads one without looking at its values."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    phase: Phase
    round_index: int = Field(ge=0, le=MOST_ROUNDS)
    rounds: int = Field(ge=0, le=MOST_ROUNDS)
    why: str
    pid: int = Field(gt=0, lt=2**31)
    since: float = Field(ge=0, le=YEAR_9999)
    updated: float = Field(ge=0, le=YEAR_9999)
    birth: str


class Told(NamedTuple):
    """How the run stands, what it is to do, and what of that cannot be read."""

    status: Status | None
    wish: Wish
    notices: tuple[str, ...]


def read_told(folder: Path) -> Told:
    """Return what the run in a folder says; what cannot be read counts as not said."""
    notices: list[str] = []
    status: Status | None = _or(None, lambda: _plausible(folder), notices)
    wish: Wish = _or("run", lambda: read_wish(folder), notices)
    return Told(status, wish, tuple(notices))


def _plausible(folder: Path) -> Status | None:
    status = read_status(folder)
    if status is None:
        return None
    try:
        _Plausible.model_validate(status._asdict())
    except ValidationError as error:
        raise RunFolderError(
            "the file cannot be read", where=str(folder / STATUS_FILE), remedy="remove it"
        ) from error
    return status


def _or(otherwise: T, read: Callable[[], T], notices: list[str]) -> T:
    try:
        return read()
    except RunFolderError as error:
        notices.append(f"{Path(error.where).name}: {error.what}.")
        return otherwise
