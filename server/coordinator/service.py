"""The coordinator's own pages: /health, and /enrol for hospitals that join or are members."""

import base64
import binascii
import logging
import time
from collections.abc import Callable
from importlib.metadata import version

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from common.enrolment import SCHEME, Complaint, SignedStudyText
from common.errors import InvalidMessage, SettingsError
from common.signed_study import read_signed_study, seal_path
from server.coordinator import enrolling, rosters
from server.coordinator.fleet import register_pending
from server.coordinator.folder import CoordinatorFolder

_log = logging.getLogger("wardround.edge")
Clock = Callable[[], float]


class Service:
    """What is answered, from a folder; registrar: tells Flower of node keys after a change."""

    def __init__(
        self,
        folder: CoordinatorFolder,
        *,
        clock: Clock = time.time,
        registrar: Callable[[CoordinatorFolder], bool] = register_pending,
    ) -> None:
        self._folder, self._clock, self._registrar = folder, clock, registrar

    def app(self) -> Router:
        """Return the application; errors of a body go through it, to the guard."""
        routes = [
            Route("/health", self._health, methods=["GET"]),
            Route("/enrol/ca", self._authority, methods=["GET"]),
            Route("/enrol", _posted(self._join), methods=["POST"]),
            Route("/enrol/rotate", _posted(self._rotate), methods=["POST"]),
            Route("/enrol/study", self._asked(self._study), methods=["GET"]),
            Route("/enrol/roster", self._asked(self._roster), methods=["GET"]),
            Route("/enrol/roster", _posted(self._vote), methods=["POST"]),
        ]
        return Router(routes=routes)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({name: version(name) for name in ("flwr", "wardround")})

    async def _authority(self, request: Request) -> Response:
        return Response(self._folder.ca.read_bytes(), media_type="application/x-pem-file")

    def _join(self, text: str) -> str:
        return self._granted(enrolling.join(self._folder, text, now=self._clock()))

    def _rotate(self, text: str) -> str:
        return self._granted(enrolling.rotate(self._folder, text, now=self._clock()))

    def _granted(self, done: enrolling.Done) -> str:
        self._registrar(self._folder)
        _log.info("%r has brought a node key", done.site)
        return enrolling.receipt(self._folder, done).text

    def _study(self) -> str:
        path = self._folder.study
        if not path.exists():
            raise enrolling.refusal("no-study", "there is no study yet")
        try:
            read_signed_study(path, key=self._folder.signer().public.hex())
        except SettingsError:
            raise enrolling.refusal("no-study", "the study is being changed") from None
        seal = seal_path(path).read_text(encoding="utf-8").strip()
        return SignedStudyText(study=path.read_text(encoding="utf-8"), seal=seal).text

    def _roster(self) -> str:
        return rosters.proposal(self._folder)

    def _vote(self, text: str) -> str:
        return rosters.vote(self._folder, text)

    def _asked(self, answer: Callable[[], str]) -> Callable[[Request], object]:
        """Return the endpoint of what only members are told."""

        async def endpoint(request: Request) -> Response:
            header, path = request.headers.get("authorization", ""), request.url.path

            def work() -> str:
                asked = _question(header)
                enrolling.asker(self._folder, asked, path, now=self._clock())
                return answer()

            return await _answered(work, request)

        return endpoint


def _posted(answer: Callable[[str], str]) -> Callable[[Request], object]:
    """Return the endpoint of a text that is posted."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()

        def work() -> str:
            try:
                return answer(body.decode("utf-8"))
            except UnicodeDecodeError:
                raise enrolling.refusal("wrong-statement", "this is no text") from None

        return await _answered(work, request)

    return endpoint


async def _answered(work: Callable[[], str], request: Request) -> Response:
    try:
        text, status = await run_in_threadpool(work), 200
    except InvalidMessage as error:
        text, status = _complaint(error).text, 403
        address = request.client.host if request.client else "?"
        _log.warning("%s %s 403: %s", address, request.url.path, error.code)
    return Response(text, status, media_type="application/json")


def _complaint(error: InvalidMessage) -> Complaint:
    return Complaint(code=error.code[:40], what=error.what[:300], remedy=error.remedy[:300])


def _question(header: str) -> str:
    """Return the signed question of an Authorization header."""
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme != SCHEME:
            raise ValueError
        return base64.b64decode(encoded, altchars=b"-_", validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        raise enrolling.refusal("no-question", "members only, with a signed question") from None
