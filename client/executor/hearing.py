"""What the service makes of its children's events: status, metrics, log lines."""

import re
import time
from typing import Any

from client.executor.codes import clean_code
from client.executor.gauges import Gauges
from client.executor.place import EXECUTOR, SUPERNODE
from client.executor.status import Status, count
from client.executor.troubles import Troubles
from client.logs import Log
from common.errors import SettingsError
from common.processes.events import Event

EXIT = re.compile(r"Exit Code: (\d{1,4})")
LOUD = ("WARNING", "ERROR", "CRITICAL")
QUIET_S = 1.0


class Hearing:
    """Takes events one by one; a part's events count only if that part may say such a thing."""

    def __init__(self, status: Status, log: Log, gauges: Gauges, troubles: Troubles) -> None:
        self._status, self._log, self._gauges, self._troubles = status, log, gauges, troubles
        self._up, self._fatal, self._changed, self._shown = False, "", True, 0.0

    def take(self, part: str, event: Event) -> None:
        """Take one event of a part."""
        handler = getattr(self, f"_{part}_{event['event']}", None)
        if handler is None:
            return
        try:
            handler(event)
        except (KeyError, TypeError, ValueError):
            self._log.warning("event not understood", part=part)

    def changed(self) -> bool:
        """Return whether there is news, at most once a second."""
        if not self._changed or time.monotonic() - self._shown < QUIET_S:
            return False
        self._changed, self._shown = False, time.monotonic()
        return True

    def started(self) -> bool:
        """Return whether all parts have come up."""
        parts = self._status.parts
        return (SUPERNODE not in parts or self._up) and (
            EXECUTOR not in parts or self._status.ready
        )

    def raise_fatal(self) -> None:
        """Raise what the executor has called a mistake that only a person can mend."""
        if self._fatal:
            raise SettingsError(
                self._fatal, where="executor", remedy="mend it and start the node again"
            )

    def _supernode_up(self, event: Event) -> None:
        self._up = self._changed = True
        self._troubles.exit_code = 0

    def _supernode_contact(self, event: Event) -> None:
        if self._status.trouble or not self._status.contact:
            self._log.info("connected to the coordinator")
            self._changed = True
        self._status.contact, self._status.trouble = time.time(), ""
        self._troubles.contact()

    def _supernode_trouble(self, event: Event) -> None:
        code = clean_code(event["code"])
        if code != self._status.trouble:
            self._log.warning("no connection to the coordinator", code=code)
            self._changed = True
        self._status.trouble = code

    def _supernode_line(self, event: Event) -> None:
        text = str(event["text"])
        if found := EXIT.search(text):
            self._troubles.exit_code = int(found.group(1))
        (self._log.warning if text.startswith(LOUD) else self._log.debug)("supernode", said=text)

    def _executor_ready(self, event: Event) -> None:
        self._status.ready = self._changed = True
        self._log.info("executor ready")

    def _executor_answered(self, event: Event) -> None:
        self._status.answered += 1
        self._request(event, "")

    def _executor_refused(self, event: Event) -> None:
        code = clean_code(event["code"])
        count(self._status.refused, code)
        self._status.last_error = code
        self._request(event, code)

    def _request(self, event: Event, code: str) -> None:
        self._status.last_request, self._changed = time.time(), True
        self._status.last_round = event["round"] or self._status.last_round
        seconds = float(event["seconds"])
        self._gauges.request(code, seconds)
        told: dict[str, Any] = {"kind": event["kind"], "round": event["round"], "seconds": seconds}
        if code:
            self._log.warning("request refused", code=code, **told)
        else:
            self._log.info("request answered", **told)

    def _executor_dropped(self, event: Event) -> None:
        code = clean_code(event["code"])
        count(self._status.dropped, code)
        self._changed = True
        self._log.warning("request lost", code=code, **_told(event))

    def _executor_unreachable(self, event: Event) -> None:
        self._log.debug("supernode not reached", code=clean_code(event["code"]))

    def _executor_failed(self, event: Event) -> None:
        self._log.error("the app failed", **_told(event))

    def _executor_log(self, event: Event) -> None:
        level = event["level"] if event["level"] in ("info", "warning", "error") else "error"
        getattr(self._log, level)(str(event["message"]), **_told(event))

    def _executor_crash(self, event: Event) -> None:
        self._log.error("executor crashed", **_told(event))

    def _executor_fatal(self, event: Event) -> None:
        self._log.error("executor cannot go on", **_told(event))
        if event["permanent"]:
            self._fatal = str(event.get("text") or event["error"])


def _told(event: Event) -> dict[str, str]:
    """Return what client.logs.about has told of an exception."""
    return {key: str(event[key]) for key in ("error", "at", "text") if event.get(key)}
