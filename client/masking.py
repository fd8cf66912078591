"""A site in secure aggregation: `common.privacy.masking` with memory, clock and chance.

Each step reads what the site remembers, takes the step, and writes what it then remembers before
the reply leaves. A request that breaks a rule costs the session: its secrets are erased, and what
goes up is a code.
"""

import fcntl
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.crypto import close_envelope, fresh_key, open_envelope
from common.errors import InvalidMessage, Refusal, SettingsError
from common.files import write_atomically
from common.privacy.masking.member import Seat, advertise, deal
from common.privacy.masking.ring import Words, encode
from common.privacy.masking.shamir import Below
from common.privacy.masking.state import State
from common.privacy.masking.statements import Call, Signed
from common.privacy.masking.turns import Confirmation, confirm, enter, mask, reveal

T = TypeVar("T")


class Store(Protocol):
    """Where a site's state is kept from one message to the next."""

    def load(self) -> str | None:
        """Return what was saved last, or None."""
        ...

    def save(self, text: str) -> None:
        """Keep the text; once this returns, a crash does not lose it."""
        ...

    def hold(self) -> AbstractContextManager[object]:
        """Keep others out until the block ends: a state is read, changed and written by one."""
        ...


@dataclass
class MemoryStore:
    """The memory of a virtual site, which ends with its process."""

    text: str | None = None
    lock: Lock = field(default_factory=Lock)

    def load(self) -> str | None:
        """Return what was saved last, or None."""
        return self.text

    def save(self, text: str) -> None:
        """Keep the text."""
        self.text = text

    def hold(self) -> AbstractContextManager[object]:
        """Keep other threads out."""
        return self.lock


@dataclass(frozen=True)
class FileStore:
    """A file of its owner's alone (mode 0600), sealed under a key of the site's.

    Whoever puts an older copy of the file back makes the site mask with keys that it has used:
    backups must leave it out.
    """

    path: Path
    key: bytes

    def load(self) -> str | None:
        """Return what was saved last, or None.

        Raises:
            SettingsError: the file is damaged, or sealed under another key.
        """
        if not self.path.exists():
            return None
        try:
            return open_envelope(self.key, self.path.read_bytes(), self._context()).decode()
        except InvalidMessage as error:
            raise SettingsError(
                "the state of secure aggregation does not open",
                where=str(self.path),
                remedy="find out who changed it; without it the site joins the next session anew",
            ) from error

    def save(self, text: str) -> None:
        """Replace the file, synced to the disk."""
        envelope = close_envelope(self.key, text.encode(), self._context())
        write_atomically(self.path, envelope)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other processes out."""
        with self.path.with_suffix(".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield

    def _context(self) -> bytes:
        return self.path.name.encode()


def remembered(store: Store) -> State:
    """Return what a site remembers."""
    text = store.load()
    return State() if text is None else State.read(text)


def forget_aborts(store: Store) -> int:
    """Let a site join sessions again: a person has looked; return how many it had given up."""
    with store.hold():
        state = remembered(store)
        store.save(state.model_copy(update={"aborts": 0}).text)
    return state.aborts


def milliseconds() -> int:
    """Return the time, in milliseconds of Unix time."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Masker:
    """A site in secure aggregation: one method for each phase."""

    seat: Seat
    store: Store
    clock: Callable[[], int] = milliseconds
    entropy: Callable[[], bytes] = fresh_key
    below: Below = secrets.randbelow

    def state(self) -> State:
        """Return what the site remembers."""
        return remembered(self.store)

    def advertise(self, context: str) -> Signed:
        """Join a session; return this site's keys for it.

        Raises:
            InvalidMessage: the site does not join.
        """
        return self._step(
            lambda state: advertise(
                self.seat, state, context, now=self.clock(), entropy=self.entropy()
            )
        )

    def deal(self, offers: Sequence[Signed]) -> bytes:
        """Return the sealed shares of this site's secrets for the sites that have advertised.

        Raises:
            InvalidMessage: the session is given up.
        """
        return self._step(
            lambda state: deal(self.seat, state, offers, now=self.clock(), below=self.below)
        )

    def masked_input(
        self,
        call: Call,
        theta: str,
        vector: Callable[[], NDArray[np.float64]],
        *,
        fresh: bool = False,
    ) -> Words:
        """Return the masked input [d]; `vector` [d] is computed once the request is found sound.

        fresh: it is a release of its own, not the one that was masked for this round before.

        Raises:
            InvalidMessage: the site does not take part, or the session is given up.
            NonFiniteError: the vector cannot be encoded; nothing has changed.
        """

        def step(state: State) -> tuple[State, Words]:
            entered = enter(self.seat, state, call, now=self.clock(), fresh=fresh)
            return mask(entered, theta, encode(vector()))

        return self._step(step)

    def confirm(self, turn: int, survivors: Sequence[str], sealed: bytes) -> Confirmation:
        """Sign the turn's one statement; on the fast path with shares.

        Raises:
            InvalidMessage: the session is given up.
        """
        return self._step(lambda state: confirm(self.seat, state, turn, survivors, sealed))

    def reveal(self, turn: int, signatures: Mapping[str, bytes], sealed: bytes) -> bytes:
        """Return this site's shares for the turn's statement.

        Raises:
            InvalidMessage: the session is given up.
        """
        return self._step(lambda state: reveal(self.seat, state, turn, signatures, sealed))

    @contextmanager
    def burning(self) -> Iterator[None]:
        """Give the session up if a rule is broken while the block lasts, by whatever part of it."""
        try:
            yield
        except Refusal:
            raise
        except InvalidMessage:
            with self.store.hold():
                self.store.save(self.state().burned().text)
            raise

    def _step(self, step: Callable[[State], tuple[State, T]]) -> T:
        with self.burning(), self.store.hold():
            before = self.state()
            after, reply = step(before)
            if after != before:
                self.store.save(after.text)
            return reply
