"""The SuperNode's process: Flower's own `flower-supernode`, quicker and with a lifeline.

    python -m client.executor.supernode OPTIONS OF flower-supernode

It reaches the coordinator and has no patients. Four names of flwr 1.41 are set from outside, which
tests/client/executor/test_supernode.py holds against the installed version: the module's clock, so
that it asks soon after work and every 3 s when idle, in place of 3 s always; the first wait for an
object, 1 s; what follows when nothing was received, so that a reply that is there is sent; and the
client of the fleet API, so that the parent is told how each call went.
"""

import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from client.executor.flower import FIRST_WAIT_S, LONGEST_WAIT_S, check_flower
from client.executor.troubles import BAD_CERTIFICATE, REFUSED, UNKNOWN_NODE
from common.pace import Pace
from common.processes.events import Events
from common.processes.lifeline import hold_lifeline

IDLE_S, REPLY_S, GRACE_S, TOLD_S = 3.0, 0.02, 8.0, 1.0
NO_CONNECTION = "no-connection"


def main() -> None:
    """Run the SuperNode until its end."""
    events = Events.on_stdout()
    hold_lifeline(signal.SIGTERM, grace_s=GRACE_S)
    check_flower()
    quicken()
    watch(events)
    from flwr.supernode.cli.flower_supernode import flower_supernode

    sys.argv[0] = "flower-supernode"
    events.send("up")
    try:
        flower_supernode()
    except Exception as error:  # flwr's runtime API would keep the process up, and deaf
        wrong_file = isinstance(error, ssl.SSLError)
        events.send("trouble", code=BAD_CERTIFICATE if wrong_file else "supernode-crashed")
        os._exit(1)


class Clock:
    """Stands for the module `time` in flwr's loop: sleeps between polls and for a reply."""

    def __init__(self, sleep: Any = time.sleep) -> None:
        self._sleep, self._pace = sleep, Pace(0.05, IDLE_S)

    def sleep(self, seconds: float) -> None:
        """Sleep: `seconds` is 3 if nothing has come, and 0.5 if a reply is waited for."""
        if seconds >= IDLE_S:
            self._sleep(self._pace.next())
        else:
            self._pace.reset()
            self._sleep(REPLY_S)


def quicken() -> None:
    """Give flwr's loop our waits."""
    from flwr.supernode import start_client_internal as loop

    names = vars(loop)
    names["time"] = Clock()
    names["pull_objects"] = partial(
        names["pull_objects"], initial_backoff=FIRST_WAIT_S, backoff_cap=LONGEST_WAIT_S
    )
    names["_pull_and_store_message"] = partial(received, names["_pull_and_store_message"])


def received(pull: Callable[..., int | None], /, *, state: Any, **how: Any) -> int | None:
    """Return the run whose message was received, or of a reply that waits to be sent, or None.

    Flower sends replies only after it has received a message. A run that ends while a message's
    parts are on their way leaves a reply that nobody waits for: it would be sent in the place of
    the next reply, that one in the place of its next, and the node would be one behind for ever.
    """
    run = pull(state=state, **how)
    if run is not None:
        return run
    with state.lock_msg_store:  # Flower's own getter lists a reply once only
        for entry in state.msg_store.values():
            about = entry.message.metadata
            if about.reply_to_message_id and not entry.is_retrieved:
                return int(about.run_id)
    return None


def watch(events: Events) -> None:
    """Have the parent told how each call to the coordinator went, at most once a second if well."""
    from flwr.supernode import fleet_http_connection as connection
    from flwr.supernode.fleet_http_client import FleetHttpClient

    class Watched(FleetHttpClient):
        told = 0.0

        def _unary_unary(self, **call: Any) -> Any:
            try:
                answer = super()._unary_unary(**call)
            except Exception as error:
                self.told, code = 0.0, _code_of(error)
                events.send("trouble", code=code)
                if code == NO_CONNECTION and isinstance(error, httpx.TransportError):
                    raise broken_line(error) from error
                raise
            if time.monotonic() - self.told > TOLD_S:
                self.told = time.monotonic()
                events.send("contact")
            return answer

    vars(connection)["FleetHttpClient"] = Watched


def broken_line(error: httpx.TransportError) -> httpx.TransportError:
    """Return an error of the same kind whose text names no TLS.

    Flower retries a broken connection, but takes any text with "ssl" or "tls" for a certificate
    that will never do: it drops the reply in hand and ends its loop, and the process stays, deaf.
    A server that is killed ends TLS without a farewell, which is such a text.
    """
    return type(error)("the line to the coordinator broke")


def _code_of(error: Exception) -> str:
    """Return a code of our own for what a call to the coordinator ended with."""
    from flwr.supercore.error import ApiErrorCode, FlowerError

    if isinstance(error, httpx.HTTPStatusError):
        told = FlowerError.from_json(error.response.text)
        if told is not None and told.code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
            return UNKNOWN_NODE
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            return REFUSED
        return f"http-{error.response.status_code}"
    if "certificate" in str(error).lower():
        return BAD_CERTIFICATE
    return NO_CONNECTION


if __name__ == "__main__":
    main()
