"""The coordinator's side of a quick round: names of flwr 1.41 that are set from outside.

tests/server/coordinator/test_quick.py holds them against the installed version.

In the ServerApp, `pull_objects`: Flower's Grid waits 1 s, then 2, 4 ... for a reply's parts that
are still on their way; ours looks again soon. It waits for two hours, and for nothing else
meanwhile: a line that broke in the middle of a reply would hold the whole run. Ours gives that one
reply up after a minute.

In the SuperLink:

- `_get_middleware`: each request passes through ten layers, of which all but four look at its path
  and pass it on. What a layer passes on itself is now led around it; which requests a layer sees
  that concern it, and in which order, is as before.
- `_cleanup_expired_task_tokens`: with each request Flower writes to the database which processes
  have been silent for a minute. Ours looks once a second; a token that has lapsed is refused
  meanwhile, for whoever shows one is asked for its time.
- `store_traffic`: the count of bytes that `flwr list` shows, one more write for each request. It is
  not kept. With both gone, fetching a part of a message writes nothing and waits for no writer.
- `SQLITE_PRAGMAS`: who has waited 5 s to write fails with HTTP 500, and a hospital loses its round
  by it. With a hundred of them on two busy cores it happened. Ours waits 30 s; who asked asks again
  after 5.
- `get_message_ins`: a hospital that asks for a message makes Flower write, also when none is there,
  and of writers SQLite lets one in at a time. Ours looks first, which waits for nobody.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

FIRST_WAIT_S, LONGEST_WAIT_S, PARTS_S = 0.03, 0.5, 60.0
LAPSED_S, BUSY_MS = 1.0, "30000"
CONCERNS = {
    "ControlSensitiveResponseMiddleware": "/v1/control/",
    "ControlAuthenticationMiddleware": "/v1/control/",
    "ControlLicenseMiddleware": "/v1/control/",
    "ControlEventLogMiddleware": "/v1/control/",
    "NodeAuthMiddleware": "/v1/fleet/",
    "FleetEventLogMiddleware": "/v1/fleet/",
    "RuntimeTracingMiddleware": "/v1/runtime/",
}
"""The paths that each of Flower's layers acts upon; one that is not named sees all."""


def quicken_grid() -> None:
    """Have the Grid of this process look for a reply's parts at short waits."""
    from flwr.superlink.grid import http_grid

    names = vars(http_grid)
    pull = names["pull_objects"]
    if not isinstance(pull, partial):
        names["pull_objects"] = partial(
            pull,
            initial_backoff=FIRST_WAIT_S,
            backoff_cap=LONGEST_WAIT_S,
            max_time=PARTS_S,
        )


def quicken_superlink() -> None:
    """Have the SuperLink of this process do nothing for a request that is not for it."""
    from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
    from flwr.supercore import sql_mixin
    from flwr.supercore.corestate.sql_corestate import SqlCoreState
    from flwr.superlink import main

    names = vars(main)
    given = names["_get_middleware"]
    pragmas = vars(sql_mixin)["SQLITE_PRAGMAS"]
    vars(sql_mixin)["SQLITE_PRAGMAS"] = tuple({**dict(pragmas), "busy_timeout": BUSY_MS}.items())
    names["_get_middleware"] = lambda: led_around(given())
    lapsed = SqlCoreState._cleanup_expired_task_tokens
    SqlCoreState._cleanup_expired_task_tokens = now_and_then(lapsed)  # type: ignore[method-assign, assignment]
    SqlLinkState.store_traffic = _uncounted  # type: ignore[method-assign, assignment]
    SqlLinkState.get_message_ins = looked_first(SqlLinkState.get_message_ins)  # type: ignore[method-assign]


def now_and_then(
    chore: Callable[[Any], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[Any], None]:
    """Return the chore, done at the first call and then every `LAPSED_S` at most."""
    due = 0.0

    def done(state: Any) -> None:
        nonlocal due
        if clock() >= due:
            chore(state)
            due = clock() + LAPSED_S

    return done


def looked_first(claim: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Return the claim of a node's messages, made only if one waits."""
    from flwr.supercore.state.schema.linkstate_models import MessageIns
    from flwr.supercore.utils import uint64_to_int64

    waiting = MessageIns.delivered_at == ""

    def claimed(state: Any, node_id: int, *given: Any, **named: Any) -> list[Any]:
        theirs = MessageIns.dst_node_id == uint64_to_int64(node_id)
        with state.session() as session:
            found = session.query(MessageIns.message_id).filter(theirs, waiting).first()
        return claim(state, node_id, *given, **named) if found else []

    return claimed


def _uncounted(state: object, run_id: int, *, bytes_sent: int, bytes_recv: int) -> None:
    """Stand for `store_traffic`."""


def led_around(layers: Sequence[Middleware]) -> list[Middleware]:
    """Return the layers, each entered only by requests that concern it."""
    return [
        Middleware(_Layer, layer, CONCERNS[name]) if name in CONCERNS else layer
        for layer in layers
        for name in (getattr(layer.cls, "__name__", ""),)
    ]


class _Layer:
    """One of Flower's layers, and the way around it."""

    def __init__(self, app: ASGIApp, layer: Middleware, concerns: str) -> None:
        self._around, self._concerns = app, concerns
        self._through = layer.cls(app, *layer.args, **layer.kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] != "http" or scope["path"].startswith(self._concerns)
        await (self._through if ours else self._around)(scope, receive, send)
