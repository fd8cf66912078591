"""Following a study's run to its end, and going on with it when its process is lost."""

import json
import time
from collections.abc import Callable

from common.errors import RunFolderError
from server.control import Status, read_status, read_wish
from server.coordinator import running
from server.coordinator.attempts import attempts
from server.coordinator.fleet import SuperLinkDown, control_api
from server.coordinator.folder import CoordinatorFolder

POLL_S, ASK_S, RETRIES, PATIENCE_S = 0.3, 3.0, 5, 180.0
TAKEN_DOWN = ("SystemExit", "KeyboardInterrupt")
"""Why a ServerApp has ended that Flower itself took down, as it does when SuperExec ends."""


def run_to_end(
    folder: CoordinatorFolder, tell: Callable[[dict[str, object]], None], *, retries: int = RETRIES
) -> Status | None:
    """Follow the run to its end; one whose process is lost is gone on with from its last round.

    Flower never takes a run up again whose ServerApp has died. A run that is to stop is not gone on
    with, and one that is to pause does so. Returns the last status.

    Raises:
        CoordinatorDown: the coordinator's processes have not come back within `PATIENCE_S`.
    """
    for attempt in range(retries + 1):
        place = running.place_of(folder)
        end = follow(folder, place, tell)
        final = end and end.phase in running.FINAL and end.why not in TAKEN_DOWN
        if attempt == retries or (end and final and (end.phase != "failed" or end.why)):
            return end  # an error of its own would come again
        if read_wish(place.path) == "stop":
            return end
        _start_again(folder)
    return None


def _start_again(folder: CoordinatorFolder) -> None:
    """Go on with the run; who has killed its process may have killed the coordinator's too."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            running.start_run(folder, wanted=None)
        except (running.CoordinatorDown, RunFolderError):
            # RunFolderError: Flower has given up a process that lives on
            if time.monotonic() >= end:
                raise
            time.sleep(POLL_S)
        else:
            return


def follow(
    folder: CoordinatorFolder, place: running.RunPlace, tell: Callable[[dict[str, object]], None]
) -> Status | None:
    """Tell each attempt as it ends, until the run has ended; return its last status."""
    about = json.loads((place.path / running.RUN_FILE).read_bytes())
    told, before, due = int(about["told"]), about.get("before", []), 0.0
    while True:
        over = False
        if time.monotonic() >= due:
            over, due = _over(folder, int(about["run"])), time.monotonic() + ASK_S
        status = read_status(place.path)
        for end, record in attempts(place.path, told):
            tell(record)
            told = end
        fresh = status if status and status.mark != before else None
        if over or (fresh and (fresh.phase in running.FINAL or not fresh.alive)):
            return fresh
        time.sleep(POLL_S)


def _over(folder: CoordinatorFolder, run: int) -> bool:
    """Return whether Flower says that the run has ended; a SuperLink that is down says nothing."""
    try:
        with control_api(folder) as api:
            return api.run_status(run).startswith("finished")
    except SuperLinkDown:
        return False
