"""A line between a hospital and the edge that can be cut, slowed, half closed, spoiled and held."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

CHUNK, SHAKEN_BYTES = 65_536, 4_000
"""SHAKEN_BYTES: with more than so many from the server, TLS's handshake is over."""
Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]


@dataclass(frozen=True)
class Harm:
    """What is done to the line now. delay: of each chunk, seconds. spoil, lose: chunks to come."""

    cut: bool = False
    held: bool = False
    delay: float = 0.0
    spoil: int = 0
    lose: int = 0


class Line:
    """A TCP proxy in a thread of its own; `port` is where it listens at `address`."""

    def __init__(self, target: int, address: str = "127.0.0.1") -> None:
        self._straight, self._target, self._address = target, target, address
        self._harm = Harm()
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._call(self._listen)

    def cut(self) -> None:
        """Break all connections and let none come about, until `mend`."""
        self._harm = replace(self._harm, cut=True)
        self._call(self._abort)

    def hold(self) -> None:
        """Pass nothing on and break nothing, until `mend`."""
        self._harm = replace(self._harm, held=True)

    def slow(self, seconds: float) -> None:
        """Hold every chunk back for so long, until `mend`."""
        self._harm = replace(self._harm, delay=seconds)

    def half_close(self) -> None:
        """Send an end in one direction of each connection; the other stays open."""
        self._call(self._finish)

    def spoil(self, chunks: int) -> None:
        """Flip a bit in each of so many chunks to come."""
        self._harm = replace(self._harm, spoil=chunks)

    def lose_replies(self, chunks: int) -> None:
        """Break a connection instead of passing on a reply, so many times.

        Whoever has asked cannot know whether the request arrived, and asks again.
        """
        self._harm = replace(self._harm, lose=chunks)

    def detour(self, port: int) -> None:
        """Have all go to another port, from now until `mend`."""
        self._target = port
        self._call(self._abort)

    def mend(self) -> None:
        """Pass on everything as it is."""
        self._harm = Harm()
        if self._target != self._straight:
            self._target = self._straight
            self._call(self._abort)

    def close(self) -> None:
        """End it."""
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=30)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._take, self._address, 0)
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
        if self._harm.cut:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, there[1])
        self._writers |= set(pair)
        try:
            up, down = self._pump(reader, there[1]), self._pump(there[0], writer, replies=pair)
            await asyncio.gather(up, down)
        finally:
            self._writers -= set(pair)
            for each in pair:
                each.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        replies: Pair | None = None,
    ) -> None:
        passed = 0
        with suppress(OSError, RuntimeError):
            while chunk := await reader.read(CHUNK):
                passed += len(chunk)
                if self._harm.lose and replies and passed > SHAKEN_BYTES:
                    self._harm = replace(self._harm, lose=self._harm.lose - 1)
                    for each in replies:
                        each.transport.abort()
                    return
                writer.write(await self._hurt(chunk))
                await writer.drain()
            writer.write_eof()

    async def _hurt(self, chunk: bytes) -> bytes:
        """Return a chunk as it is passed on, when it is."""
        if self._harm.delay:
            await asyncio.sleep(self._harm.delay)
        while self._harm.held:
            await asyncio.sleep(0.05)
        if self._harm.spoil:
            self._harm = replace(self._harm, spoil=self._harm.spoil - 1)
            return chunk[:-1] + bytes([chunk[-1] ^ 1])
        return chunk
