"""Reading rounds.jsonl as it grows: each line once, and all of it anew if the past has changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

RECORDS_FILE = "rounds.jsonl"
"""As in server/state.py, which would bring torch into a process that computes nothing."""
MOST_BYTES = 4_000_000
"""So much is read at a time; the page shows a long past in steps instead of after it."""


class Attempt(BaseModel):
    """One attempt at a round, as `server.state.RoundRecord` was written."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    round_index: int = Field(ge=1)
    attempt: int = Field(ge=1)
    closed: bool
    accepted: tuple[str, ...]
    dropped: dict[str, str]
    seconds: float = Field(ge=0)
    ended: int = Field(default=0, ge=0)

    @property
    def asked(self) -> int:
        """Number of sites that the attempt was about."""
        return len(self.accepted) + len(self.dropped)


class News(NamedTuple):
    """What was added. anew: the past has changed, these are the first lines of another one.

    damaged: lines that are no record.
    """

    attempts: list[Attempt]
    anew: bool
    damaged: int


@dataclass
class Tail:
    """The place in a growing file up to which it is known. last: the line before it.

    A server that is killed takes back lines of a round that it had not saved, and may then write
    others in their place. So the line before the place is compared each time.
    """

    path: Path
    place: int = 0
    last: bytes = b""

    def read(self) -> News:
        """Return whole lines that were not known yet, at most `MOST_BYTES` of them."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            anew = self.place > 0
            self.place, self.last = 0, b""
            return News([], anew, 0)
        with file:
            anew = not self._same_past(file)
            if anew:
                self.place, self.last = 0, b""
            file.seek(self.place)
            data = file.read(MOST_BYTES)
        return self._taken(data[: data.rfind(b"\n") + 1], anew)

    def _same_past(self, file: BinaryIO) -> bool:
        file.seek(self.place - len(self.last))
        return file.read(len(self.last)) == self.last

    def _taken(self, data: bytes, anew: bool) -> News:
        lines = data.split(b"\n")[:-1]
        if lines:
            self.place += len(data)
            self.last = lines[-1] + b"\n"
        read = [_attempt(line) for line in lines]
        attempts = [one for one in read if one is not None]
        return News(attempts, anew, len(read) - len(attempts))


def _attempt(line: bytes) -> Attempt | None:
    try:
        return Attempt.model_validate_json(line)
    except ValidationError:
        return None
