"""The executor's process: it holds the patients, and reaches the local SuperNode and nothing else.

    python -m client.executor.worker FOLDER ADDRESS SECRET WIRING

It is started by `wardround node start` alone; WIRING names the module that puts it together.
"""

import importlib
import resource
import signal
import sys
from functools import partial
from pathlib import Path
from threading import Event, Thread
from types import ModuleType

from client.logs import about, relay
from common.errors import SettingsError, WardroundError
from common.processes.events import Events
from common.processes.lifeline import hold_lifeline

BEAT_S = 5.0


def main(folder: str, address: str, secret: str, wiring: str) -> int:
    """Serve until the parent asks us to end, or is gone."""
    events = Events.on_stdout()
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    hold_lifeline(signal.SIGKILL, grace_s=0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash dump would hold patients
    relay(events.send)
    try:
        return _serve(Path(folder), address, Path(secret), wiring, events, stopping)
    except WardroundError as error:
        events.send("fatal", permanent=isinstance(error, SettingsError), **about(error))
    except Exception as error:
        events.send("fatal", permanent=False, **about(error))
    return 1


def _serve(
    folder: Path, address: str, secret: Path, wiring: str, events: Events, stopping: Event
) -> int:
    from client.executor.executor import Executor
    from client.executor.flower import RuntimeQueue, check_flower
    from common.key_files import read_key

    check_flower()
    parts: ModuleType = importlib.import_module(wiring)
    key = read_key(secret, "the runtime secret", SettingsError, remedy="start the node again")
    executor = Executor(
        RuntimeQueue(address, key),
        parts.app(),
        node_config=parts.node_config(folder),
        approved=partial(parts.approved_bundles, folder),
        kinds=parts.kinds(),
        report=events.send,
        note=partial(parts.note_refusal, folder),
    )
    parts.warm(Path(folder))
    events.send("ready")
    Thread(target=_beat, args=(events, stopping), daemon=True, name="beat").start()
    executor.serve(stopping)
    return 0


def _beat(events: Events, stopping: Event) -> None:
    while not stopping.wait(BEAT_S):
        events.send("alive")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
