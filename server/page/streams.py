"""Server-sent events: each of a bounded number of viewers is sent what it has not seen."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import HTTPException
from fastapi.sse import ServerSentEvent

from server.page.live import PAUSE_S, Live

MOST_STREAMS = 64
AGAIN_MS = 2000
"""A browser that has lost the stream asks again after so long."""


@dataclass
class Streams:
    """The open streams of a page. closing: the server is about to end, so they end too."""

    most: int = MOST_STREAMS
    open: int = 0
    closing: bool = False

    async def slot(self) -> AsyncIterator[None]:
        """Hold a place for one stream.

        Raises:
            HTTPException: all are taken.
        """
        if self.open >= self.most:
            raise HTTPException(503, "too many people watch", headers={"Retry-After": "10"})
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def follow(self, live: Live, cursor: str) -> AsyncIterator[ServerSentEvent]:
        """Yield what a viewer lacks who has seen everything up to its cursor, until closing."""
        yield ServerSentEvent(retry=AGAIN_MS, comment="what is new, as it comes")
        while not self.closing:
            await asyncio.to_thread(live.refresh)
            if changes := live.changes(cursor):
                cursor = changes.cursor
                data = {"html": changes.html} | changes.drawn()
                yield ServerSentEvent(event="change", id=cursor, data=data)
            await asyncio.sleep(PAUSE_S)
