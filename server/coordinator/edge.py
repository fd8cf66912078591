"""The edge: the one port that the network sees, and what it lets through.

    /v1/fleet/NAME   passed on to Flower's SuperLink    /health   versions
    /enrol...        the coordinator's own              all else  404, closed

Flower serves its Control and Runtime APIs on the SuperLink's port without authentication: whoever
reaches them runs code in every hospital. So a path is taken as it was sent, byte by byte, and held
against a short list; nothing is decoded, resolved or normalised before that.
"""

import re

from common.enrolment import SMALL_BODY
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.guard import App, Guard, Receive, Scope, Send, raw_path, refuse
from server.coordinator.proxy import Proxy, to_superlink
from server.coordinator.service import Service

_FLEET = re.compile(rb"/v1/fleet/[a-z0-9]+(?:-[a-z0-9]+)*")
_OURS = {
    b"/health",
    b"/enrol",
    b"/enrol/ca",
    b"/enrol/rotate",
    b"/enrol/study",
    b"/enrol/roster",
}


class Edge:
    """The application that sorts requests by their path."""

    def __init__(self, fleet: App, ours: App) -> None:
        self._fleet, self._ours = fleet, ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if is_fleet(scope):
            await self._fleet(scope, receive, send)
        elif raw_path(scope) in _OURS and not scope["query_string"]:
            await self._ours(scope, receive, send)
        else:
            await refuse(scope, send, 404, "not here")


def is_fleet(scope: Scope) -> bool:
    """Whether a request is for Flower's fleet API, spelled in the one way."""
    return bool(_FLEET.fullmatch(raw_path(scope))) and not scope["query_string"]


def make_edge(
    folder: CoordinatorFolder, *, fleet: App | None = None, ours: App | None = None
) -> Guard:
    """Return the edge of a coordinator's folder, an ASGI application.

    fleet, ours: what answers instead of the SuperLink and of the folder. `aclose` it in the end.
    """
    limits, close = folder.settings.edge.limits, None
    if fleet is None:
        fleet = proxy = Proxy(to_superlink(folder))
        close = proxy.aclose
    app = Edge(fleet, ours if ours is not None else Service(folder).app())
    return Guard(app, limits, is_fleet=is_fleet, small_body=SMALL_BODY, close=close)
