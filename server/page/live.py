"""A run folder as it is now: read when somebody looks, rendered once for all who do.

The page is made of named fragments of HTML. Each has the version at which it last changed, so a
viewer that has seen version v is sent what is newer and nothing else.
"""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from common.pages import count
from common.study import Study
from server.page.measured import Movement, read_metrics
from server.page.memory import Memory
from server.page.render import Renderer, Run
from server.page.tail import RECORDS_FILE, Tail
from server.page.told import read_told
from server.page.words import state_of

PAUSE_S = 0.4
"""The folder is looked at so often at most, however many people watch."""


class Changes(NamedTuple):
    """What a viewer lacks. cursor: names what it has seen with it. steps: None if unchanged."""

    cursor: str
    html: dict[str, str]
    bins: dict[str, Any]
    steps: list[tuple[int, float]] | None

    def drawn(self) -> dict[str, Any]:
        """Return what the charts are made of."""
        return {"bins": self.bins} | ({} if self.steps is None else {"steps": self.steps})


@dataclass
class Live:
    """One run folder. boot: names this past, so that no viewer mixes it up with another.

    lock: held while the folder is looked at; hold it to read several things of one moment.
    """

    folder: Path
    study: Study
    renderer: Renderer
    clock: Callable[[], float] = time.monotonic
    boot: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = 0
    memory: Memory = field(default_factory=Memory)
    run: Run | None = None
    html: dict[str, str] = field(default_factory=dict)
    _changed: dict[str, int] = field(default_factory=dict)
    _read: float = float("-inf")
    lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self._tail = Tail(self.folder / RECORDS_FILE)
        self.movement = Movement(self.folder)

    def refresh(self) -> Run:
        """Look at the folder, unless somebody has just done so, and return what it holds."""
        with self.lock:
            if self.run is None or self.clock() - self._read >= PAUSE_S:
                self._look()
                self._read = self.clock()
            assert self.run is not None  # noqa: S101 (set by _look)
            return self.run

    def page(self) -> str:
        """Return the whole page as it is now."""
        self.refresh()
        changes = self.changes("")
        assert changes is not None  # noqa: S101 (a refreshed page has fragments)
        return self.renderer.page(
            changes.html, changes.cursor, json.dumps(changes.drawn(), separators=(",", ":"))
        )

    def changes(self, cursor: str) -> Changes | None:
        """Return what a viewer at a cursor lacks, or None if that is nothing."""
        with self.lock:
            seen = self._seen(cursor)
            if seen >= self.version:
                return None
            bins, html = self.memory.bins, self.html
            anew = seen < bins.widened or seen == 0
            return Changes(
                cursor=f"{self.boot}-{self.version}",
                html={name: html[name] for name, at in self._changed.items() if at > seen},
                bins={
                    "width": bins.width,
                    "anew": anew,
                    "rows": bins.since(0 if anew else seen),
                },
                steps=self.movement.steps if self._changed.get("movement", 0) > seen else None,
            )

    def _seen(self, cursor: str) -> int:
        """Return the version that a cursor names; 0 if it is of another past, or nonsense."""
        boot, _, version = cursor.partition("-")
        return int(version) if boot == self.boot and version.isdecimal() else 0

    def _look(self) -> None:
        news = self._tail.read()
        if news.anew:
            self.memory, self.boot = Memory(), secrets.token_hex(4)
        self.memory.version = max(self.memory.version, self.version)
        self.memory.take(news.attempts)
        self.memory.damaged += news.damaged
        moved = self.movement.refresh()
        before, self.run = self.run, self._run()
        if self.run != before or news.attempts or news.anew or moved:
            self._render(self.run)

    def _run(self) -> Run:
        status, wish, notices = read_told(self.folder)
        if self.memory.damaged:
            notices += (f"{RECORDS_FILE}: {count(self.memory.damaged, 'line')} cannot be read.",)
        last, rounds = self.memory.last_closed, self.study.server.rounds
        closed = max(last.round_index if last else 0, status.round_index if status else 0)
        alive = bool(status and status.alive)
        state = state_of(status, wish, alive=alive, closed=closed, rounds=rounds)
        metrics = read_metrics(self.folder)
        return Run(status, wish, alive, closed, state, metrics, notices)

    def _render(self, run: Run) -> None:
        self.version = max(self.version + 1, self.memory.version)
        for name, html in self.renderer.fragments(run, self.memory, self.movement.steps).items():
            if self.html.get(name) != html:
                self.html[name], self._changed[name] = html, self.version
