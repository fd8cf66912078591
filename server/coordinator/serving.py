"""Serving the edge: uvicorn under TLS 1.3, with deadlines for those who are slow on purpose."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.concurrency import run_in_threadpool
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.errors import SettingsError
from server.coordinator.door import LINGER_S, Door
from server.coordinator.edge import make_edge
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder, renew_certificates
from server.coordinator.guard import Guard
from server.coordinator.settings import EdgeLimits

_log = logging.getLogger("wardround.edge")
HEAD_BYTES = 16 * 1024
PENDING_S, RENEW_S = 5.0, 6 * 3600.0


class BoundedProtocol(H11Protocol):
    """Uvicorn's protocol with a deadline for each request's head; it tells its end."""

    head_s = 20.0
    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and wait for a first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        self.ended.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a request that is being answered has deadlines of its own (guard.py)."""
        super().data_received(data)
        if self._is_answering():
            self._disarm()

    def on_response_complete(self) -> None:
        """Wait for the next request, not for what is left of this one's body."""
        super().on_response_complete()
        if self.transport.is_closing():  # who goes on sending is not waited for
            self.loop.call_later(LINGER_S, self.transport.abort)
        elif not self._is_answering():
            self._await_head()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(self.head_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()


class EdgeServer(uvicorn.Server):
    """A server of the edge; `run()` in a process of its own, `should_exit = True` ends it."""

    def __init__(self, folder: CoordinatorFolder, app: Guard | None = None) -> None:
        self._folder, self._app = folder, app or make_edge(folder)
        edge = folder.settings.edge
        super().__init__(
            uvicorn.Config(
                self._app,
                host=edge.bind,
                port=edge.port,
                http=bounded_protocol(edge.limits),
                ws="none",
                lifespan="off",
                loop="asyncio",
                ssl_certfile=folder.server_certificate,
                ssl_context_factory=_only_tls_1_3,
                h11_max_incomplete_event_size=HEAD_BYTES,
                timeout_keep_alive=edge.limits.idle_s,
                timeout_graceful_shutdown=10,
                proxy_headers=False,  # this is the door: the address is the connection's own
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )

    async def startup(self, sockets: Any = None) -> None:
        """Listen at a door of our own, which counts and bounds what has not shaken hands yet."""
        await self.lifespan.startup()
        config, limits = self.config, self._folder.settings.edge.limits

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        try:
            door = Door(config.host, config.port, protocol, config.ssl, limits)
        except OSError as error:
            raise SettingsError(
                f"the edge cannot listen: {error.strerror}",
                where=f"{config.host}:{config.port}",
                remedy="is one running already? else set edge.bind and edge.port",
            ) from None
        self.servers, self.started = [door], True  # type: ignore[list-item]

    async def serve(self, sockets: Any = None) -> None:
        """Serve until told to stop, and look after certificate and node keys meanwhile."""
        chores = [
            asyncio.create_task(_every(PENDING_S, lambda: register_pending(self._folder))),
            asyncio.create_task(_every(RENEW_S, self.renew)),
        ]
        try:
            await super().serve(sockets)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await self._app.aclose()

    def renew(self) -> bool:
        """Renew the certificate if it ends soon; new connections see it without a restart."""
        renewed = renew_certificates(self._folder, now=datetime.now(UTC))
        if renewed and self.config.ssl:
            self.config.ssl.load_cert_chain(self._folder.server_certificate)
        return renewed


def serve_edge(folder: CoordinatorFolder, app: Guard | None = None) -> None:
    """Serve a coordinator's edge until SIGINT or SIGTERM; app: another than `make_edge` gives."""
    EdgeServer(folder, app).run()


def bounded_protocol(limits: EdgeLimits) -> type[BoundedProtocol]:
    """Return the protocol with the deadline of these limits."""

    class Limited(BoundedProtocol):
        """See `BoundedProtocol`."""

        head_s = limits.head_s

    return Limited


def _only_tls_1_3(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def _every(seconds: float, chore: Callable[[], bool]) -> None:
    """Do a chore now and then; its failures are written down and do not end the edge."""
    while True:
        try:
            await run_in_threadpool(chore)
        except Exception as error:  # whatever fails here, the door stays open
            _log.error("a chore of the edge fails: %s", type(error).__name__)
        await asyncio.sleep(seconds)
