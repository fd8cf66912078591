"""Accepting connections: so many and no more, counted before anything is spent on a handshake."""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from server.coordinator.settings import EdgeLimits

LINGER_S, RETRY_S, BACKLOG = 2.0, 0.5, 256
_log = logging.getLogger("wardround.edge")


class Door:
    """A listening socket; it is closed as uvicorn closes its servers.

    make: of the protocol of a connection, which is an asyncio.Protocol that tells its end.
    """

    def __init__(
        self,
        host: str,
        port: int,
        make: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
        limits: EdgeLimits,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._make, self._context, self._limits = make, context, limits
        self._held: Counter[str] = Counter()
        self._guests: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept nobody any more."""
        self._task.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Return when nobody is accepted any more; those who are in are uvicorn's to send away."""
        await asyncio.gather(self._task, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                guest, peer = await loop.sock_accept(self._listener)
            except OSError:  # such as no file left to open
                await asyncio.sleep(RETRY_S)
                continue
            address = str(peer[0])
            if len(self._guests) >= self._limits.connections or self._is_full(address):
                guest.close()
                continue
            self._held[address] += 1
            task = asyncio.create_task(self._welcome(guest, address))
            self._guests.add(task)
            task.add_done_callback(self._guests.discard)

    def _is_full(self, address: str) -> bool:
        full = self._held[address] >= self._limits.connections_per_address
        if full:
            _log.warning("%s: too many connections", address)
        return full

    async def _welcome(self, guest: socket.socket, address: str) -> None:
        """Shake hands, and hold the guest's place until the connection has ended."""
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                guest,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.head_s if self._context else None,
                ssl_shutdown_timeout=LINGER_S if self._context else None,
            )
            await _ended(protocol)
        except OSError:  # no handshake: of another TLS, too slow, or gone
            guest.close()
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


async def _ended(protocol: object) -> None:
    ended: asyncio.Event = protocol.ended  # type: ignore[attr-defined]
    await ended.wait()
