"""A line between a hospital and the edge that can be cut, slowed, half closed and spoiled."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any

CHUNK = 65_536


class Line:
    """A TCP proxy on loopback, in a thread of its own; `port` is where it listens."""

    def __init__(self, target: int) -> None:
        self._target, self.port = target, 0
        self._cut, self._delay, self._spoil = False, 0.0, 0
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._call(self._listen)

    def cut(self) -> None:
        """Break all connections and let none come about, until `mend`."""
        self._cut = True
        self._call(self._abort)

    def slow(self, seconds: float) -> None:
        """Hold every chunk back for so long, until `mend`."""
        self._delay = seconds

    def half_close(self) -> None:
        """Send an end in one direction of each connection; the other stays open."""
        self._call(self._finish)

    def spoil(self, chunks: int) -> None:
        """Flip a bit in each of so many chunks to come."""
        self._spoil = chunks

    def mend(self) -> None:
        """Pass on everything as it is."""
        self._cut, self._delay, self._spoil = False, 0.0, 0

    def close(self) -> None:
        """End it."""
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> int:
        self._server.close()
        await self._abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    async def _abort(self) -> int:
        for writer in list(self._writers):
            writer.transport.abort()
        return 0

    async def _finish(self) -> int:
        for writer in list(self._writers):
            with suppress(OSError, RuntimeError):
                writer.write_eof()
        return 0

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there[1]}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))
        finally:
            self._writers -= pair
            for each in pair:
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):
            while chunk := await reader.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._spoil:
                    self._spoil -= 1
                    chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
