"""Progress on stderr, so that stdout holds the result alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

REFRESH_S = 0.1
Tick = Callable[[str], None]


class Reporter:
    """Shows one bar for each stage of a run; a quiet one shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, highlight=False)

    @contextmanager
    def stage(self, title: str, total: int | None) -> Iterator[Tick]:
        """Show a bar; each call of the tick advances it by one and names what is being done."""
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        if not self._console.is_terminal:
            self.say(f"{title} ...")
        with Progress(
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[doing]}"),
            console=self._console,
            auto_refresh=False,  # no thread of its own: worker processes are forked meanwhile
        ) as progress:
            bar, shown = progress.add_task(title, total=total, doing=""), time.monotonic()

            def tick(doing: str) -> None:
                nonlocal shown
                due = time.monotonic() - shown > REFRESH_S
                shown = time.monotonic() if due else shown
                progress.update(bar, advance=1, doing=doing, refresh=due)

            yield tick
            progress.update(bar, doing="done", refresh=True)
