"""The live page as an ASGI application: one page, one stream, one wish, and two for machines."""

from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict

from common.study import Study, read_study
from server.control import CONTROL_FILE, set_wish
from server.page.gauges import exposition
from server.page.guard import Guard, is_token
from server.page.live import Live
from server.page.render import HERE, Renderer
from server.page.streams import Streams

STUDY_FILE, SIMULATION_FILE = "study.toml", "run.json"


class WishBody(BaseModel):
    """What a coordinator wants of the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wish: Literal["run", "pause", "stop"]


def make_page(
    folder: Path,
    *,
    token_hash: str | None,
    study: Study | None = None,
    names: Collection[str] = (),
) -> FastAPI:
    """Return the page of the run in a folder.

    token_hash: `guard.token_digest` of the coordinator's token; None makes the page read-only.
    study: the run's, if the folder does not hold it as study.toml. names: host names by which the
    page is reached beside localhost and numeric addresses.

    Raises:
        SettingsError: there is no study that can be read.
    """
    study = study or read_study(folder / STUDY_FILE)
    simulated = (folder / SIMULATION_FILE).exists()
    renderer = Renderer(study, folder.resolve().name, token_hash is not None, simulated)
    live, streams = Live(folder, study, renderer), Streams()
    app = FastAPI(title="Wardround", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.live, app.state.streams = live, streams
    _reading(app, live)
    _streaming(app, live, streams)
    _wishing(app, live, token_hash)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_middleware(Guard, names=frozenset(name.lower() for name in names))
    return app


def _reading(app: FastAPI, live: Live) -> None:
    @app.get("/", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        return HTMLResponse(live.page())

    @app.get("/metrics")
    def metrics() -> Response:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(exposition(live), media_type=media_type)

    @app.get("/health")
    def health() -> JSONResponse:
        if not live.folder.is_dir():
            return JSONResponse({"status": "the run folder is gone"}, status_code=503)
        return JSONResponse({"status": "ok"})


def _streaming(app: FastAPI, live: Live, streams: Streams) -> None:
    @app.get("/events", response_class=EventSourceResponse, dependencies=[Depends(streams.slot)])
    async def events(
        seen: Annotated[str, Query(max_length=40)] = "",
        last_event_id: Annotated[str, Header(max_length=40)] = "",
    ) -> AsyncIterator[ServerSentEvent]:
        async for event in streams.follow(live, last_event_id or seen):
            yield event


def _wishing(app: FastAPI, live: Live, token_hash: str | None) -> None:
    @app.post("/wish", dependencies=[Depends(_holder_of(token_hash))])
    def wish(body: WishBody) -> JSONResponse:
        run = live.refresh()
        if not run.state.can:
            raise HTTPException(409, "no run is going on in this folder")
        set_wish(live.folder, body.wish)
        return JSONResponse({"wish": body.wish, "file": CONTROL_FILE})


def _holder_of(token_hash: str | None) -> Callable[[str], None]:
    """Return the check that a wish comes from somebody who holds the token."""

    def check(authorization: Annotated[str, Header(max_length=300)] = "") -> None:
        if token_hash is None:
            raise HTTPException(403, "this page is read-only: it was started without a token")
        if not is_token(authorization, token_hash):
            raise HTTPException(401, "that is not the token", {"WWW-Authenticate": "Bearer"})

    return check
