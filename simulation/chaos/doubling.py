"""A door that sends every request on twice, as a network or a man in the middle might.

It has the coordinator's own certificate, for nobody else could do it. The hospital gets the first
answer; what the second request does at the coordinator is what is tried.
"""

import asyncio
import ssl
from threading import Thread

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.coordinator.folder import CoordinatorFolder
from simulation.founding import free_port, wait_for

_OWN = {"content-length", "transfer-encoding", "connection", "content-encoding", "host"}


class Doubler:
    """The door, in a thread of its own, at `port`. doubled: requests that were sent twice."""

    def __init__(self, folder: CoordinatorFolder) -> None:
        self.port, self.doubled = free_port(), 0
        context = ssl.create_default_context(cafile=str(folder.ca))
        self._client = httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{folder.settings.edge.port}",
            verify=context,
            trust_env=False,
            timeout=60.0,
        )
        app = Starlette(routes=[Route("/{path:path}", self._twice, methods=["GET", "POST"])])
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=self.port,
                ssl_certfile=folder.server_certificate,
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()
        wait_for(self.port)

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join()

    def _serve(self) -> None:
        async def serve() -> None:
            await self._server.serve()
            await self._client.aclose()

        asyncio.run(serve())

    async def _twice(self, request: Request) -> Response:
        content = await request.body()
        headers = [(k, v) for k, v in request.headers.raw if k.decode() not in _OWN]
        try:
            first, _ = [
                await self._client.request(
                    request.method, request.url.path, headers=headers, content=content
                )
                for _ in range(2)
            ]
        except httpx.HTTPError:
            return Response("the edge does not answer", 502)
        self.doubled += 1
        kept = {k: v for k, v in first.headers.items() if k.lower() not in _OWN}
        return Response(first.content, first.status_code, headers=kept)
