"""`wardround node start`: keeps the SuperNode and the executor running, and says how they are.

Three processes: this one, which has neither patients nor network; the SuperNode, which talks to the
coordinator and has no patients; the executor, which has the patients and talks to the SuperNode on
loopback alone. So the executor may crash, or be killed for its memory, without the node losing its
place at the coordinator, and what a library does in it reaches nobody.
"""

import os
import queue
import signal
import time
from contextlib import ExitStack
from threading import Event as Flag

from client.executor import child
from client.executor.gauges import Gauges
from client.executor.hearing import Hearing
from client.executor.notify import notify
from client.executor.place import (
    EXECUTOR,
    SUPERNODE,
    Place,
    holding,
    prepare,
    runtime_port,
)
from client.executor.status import WRITTEN_S, Status, status_file, versions
from client.executor.troubles import PATIENCE_S, Troubles
from client.logs import Log, open_log
from common.errors import SettingsError
from common.processes.child import Child
from common.processes.events import Event

WIRING = "client.executor.wiring"
EXECUTOR_GRACE_S, SEND_S, SUPERNODE_GRACE_S = 4.5, 0.4, 4.0
HEARD, REFUSED_PAUSE_S = 1_000, 5.0
SILENT_S = {EXECUTOR: 60.0, SUPERNODE: 240.0}


def serve(
    place: Place, parts: tuple[str, ...], *, wiring: str = WIRING, patience_s: float = PATIENCE_S
) -> None:
    """Run these parts of the node until SIGTERM or SIGINT.

    Raises:
        SettingsError: they run already, or a mistake that only a person can mend.
    """
    prepare(place, parts)
    with ExitStack() as stack:
        stack.enter_context(holding(place.state, parts))
        folder = place.state if EXECUTOR in parts else place.own
        log = open_log(folder, level=place.site.service.log_level)
        gauges = Gauges(place.site.service.metrics_port if EXECUTOR in parts else 0)
        stack.callback(gauges.close)
        service = Service(place, parts, log, gauges, wiring=wiring, patience_s=patience_s)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stopping.set())
        service.run()


class Service:
    """The parts that run, and what is known of them."""

    def __init__(
        self,
        place: Place,
        parts: tuple[str, ...],
        log: Log,
        gauges: Gauges,
        *,
        wiring: str,
        patience_s: float,
    ) -> None:
        self.stopping = Flag()
        self._log, self._gauges, self._file = log, gauges, status_file(place.state, parts)
        self._heard: queue.Queue[tuple[str, Event]] = queue.Queue(HEARD)
        self._status = Status(os.getpid(), parts, time.time(), versions=versions())
        self._troubles = Troubles(place, patience_s=patience_s)
        self._hearing = Hearing(self._status, log, gauges, self._troubles)
        self._children, port = {}, runtime_port(place, parts)
        if SUPERNODE in parts:
            self._children[SUPERNODE] = child.supernode(place, port, self._hear)
        if EXECUTOR in parts:
            self._children[EXECUTOR] = child.executor(place, port, self._hear, wiring)
        self._written, self._told, self._unwritten = 0.0, False, False

    def run(self) -> None:
        """Start, supervise, wind down; the children are gone when this returns or raises."""
        self._log.info("starting", parts=list(self._status.parts), **self._status.versions)
        try:
            while not self.stopping.is_set():
                for each in self._children.values():
                    each.mend()
                self._listen(0.2)
                for each in self._children.values():
                    self._look_after(each)
                self._tell()
            self._log.info("stopping")
        except SettingsError as error:
            self._log.error("giving up", text=str(error))
            raise
        finally:
            notify("STOPPING=1")
            self._wind_down()
            self._file.unlink(missing_ok=True)

    def _hear(self, part: str, event: Event) -> None:
        self._heard.put((part, event))

    def _listen(self, seconds: float) -> None:
        """Take what the children say, for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                part, event = self._heard.get(timeout=left)
            except queue.Empty:
                return
            self._children[part].heard = time.monotonic()
            self._hearing.take(part, event)
            if event["event"] == "ready" or (part == SUPERNODE and event["event"] == "contact"):
                self._children[part].well()

    def _look_after(self, each: Child) -> None:
        """Say why a child has ended; its successor comes after a pause."""
        self._end_if_frozen(each)
        code = each.ended()
        if code is None or self.stopping.is_set():
            return
        self._listen(0.1)  # its last words
        if each.name == EXECUTOR:
            self._status.ready = False
            self._hearing.raise_fatal()
            self._log.error("executor ended and is started again", exit=code)
            return
        joined = self._status.contact > 0
        why = self._troubles.judge(self._status.trouble, time.monotonic(), joined=joined)
        if self._troubles.passing(time.monotonic()):
            each.hurry(REFUSED_PAUSE_S)
        self._status.trouble = self._status.trouble or "supernode-ended"
        self._log.warning("supernode ended", why=why, exit=code)

    def _end_if_frozen(self, each: Child) -> None:
        """End a child that has long said nothing; one that loads its libraries is given time."""
        silent = time.monotonic() - each.heard > SILENT_S[each.name]
        if each.pid and silent and (each.name == SUPERNODE or self._status.ready):
            self._log.error(f"{each.name} says nothing any more and is started again")
            self._status.ready = self._status.ready and each.name != EXECUTOR
            each.kill()

    def _tell(self) -> None:
        """Write the status when it is due, and tell systemd."""
        now = time.time()
        if not (self._hearing.changed() or now - self._written > WRITTEN_S):
            return
        self._written = now
        for name, each in self._children.items():
            self._status.starts[name], self._status.pids[name] = each.starts, each.pid
        self._write_status(now)
        self._gauges.show(self._status, now)
        state = "connected" if self._status.connected(now) else "not connected"
        notify(f"WATCHDOG=1\nSTATUS={state}, {self._status.answered} answered")
        if not self._told and self._hearing.started():
            self._told = True
            notify("READY=1")

    def _write_status(self, now: float) -> None:
        """Write the status; on a disk that is full the node goes on, and says so once."""
        try:
            self._status.write(self._file, now)
        except OSError as error:
            if not self._unwritten:
                self._log.error("the status cannot be written", why=os.strerror(error.errno or 0))
            self._unwritten = True
        else:
            self._unwritten = False

    def _wind_down(self) -> None:
        """End the children: the executor may finish its request, and the SuperNode send it."""
        for name, grace_s in ((EXECUTOR, EXECUTOR_GRACE_S), (SUPERNODE, SUPERNODE_GRACE_S)):
            each = self._children.get(name)
            if each is None:
                continue
            each.ask()
            end = time.monotonic() + grace_s
            while each.pid and each.ended() is None and time.monotonic() < end:
                self._listen(0.05)
            each.kill()
            if name == EXECUTOR and SUPERNODE in self._children:
                self._listen(SEND_S)
