"""A study's run at a coordinator: start it or go on with it, see how it stands, hold it, end it.

What is known of a run is in its folder (server/control.py, server/state.py); that the coordinator's
processes were killed, or this command, changes nothing of it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from common.errors import RunFolderError, SettingsError
from common.files import write_atomically
from common.signed_study import SignedStudy, read_signed_study, seal_path
from common.study import Study
from server.control import Status, Wish, read_status, read_wish, set_wish
from server.coordinator import rosters
from server.coordinator.attempts import attempts
from server.coordinator.bundle import make_bundle
from server.coordinator.fleet import ControlApi, SuperLinkDown, control_api, register_pending
from server.coordinator.folder import CoordinatorFolder
from server.state import RECORDS_FILE, STATE_FILE

RUN_FILE, RUNS = "flower-run.json", "runs"
FINAL = ("below quorum", "stopped", "finished", "failed")
POLL_S, ASK_S, RETRIES, PATIENCE_S = 0.3, 3.0, 5, 180.0
TAKEN_DOWN = ("SystemExit", "KeyboardInterrupt")
"""Why a ServerApp has ended that Flower itself took down, as it does when SuperExec ends."""


class CoordinatorDown(SettingsError):
    """The coordinator's processes do not run."""


class RunPlace(NamedTuple):
    """A study as it is signed, and the folder of its run."""

    signed: SignedStudy
    path: Path

    @property
    def study(self) -> Study:
        """The study."""
        return self.signed.study


def place_of(folder: CoordinatorFolder) -> RunPlace:
    """Return the place of the run of the folder's study.

    Raises:
        SettingsError: there is no study, or its seal does not hold.
    """
    if not folder.study.exists():
        raise SettingsError(
            "there is no study yet",
            where=str(folder.study),
            remedy="wardround coordinator sign study.toml --folder DIR",
        )
    signed = read_signed_study(folder.study, key=folder.signer().public.hex())
    return RunPlace(signed, folder.path / RUNS / signed.study.id[:12])


def start_run(
    folder: CoordinatorFolder, *, seed: int | None = None, wanted: Wish | None = "run"
) -> RunPlace:
    """Start the study's run, or go on with it from its last round; returns when Flower has it.

    seed: of the first initialization and the cohorts; None: the run's own, of a new one 0.
    wanted: of the run; None: what people have said stays said.

    Raises:
        SettingsError: it cannot be started as things are.
        RunFolderError: it runs already.
    """
    place = place_of(folder)
    before = _require_idle(place)
    seed = _own_seed(place) if seed is None else seed
    config = _config(folder, place, seed)
    bundle = _bundle(place)
    place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if wanted:
        set_wish(place.path, wanted)
    for path in (folder.study, seal_path(folder.study)):  # what the run was signed as, for its page
        write_atomically(place.path / path.name, path.read_bytes())
    records = place.path / RECORDS_FILE
    told = records.stat().st_size if records.exists() else 0
    about = {"run": 0, "before": before, "told": told, "seed": seed}
    _keep(place, about)  # the seed is the run's own, whatever Flower answers
    with asking(folder) as api:
        register_pending(folder, api)
        _keep(place, about | {"run": api.start_run(bundle, config)})
    return place


def _keep(place: RunPlace, about: Mapping[str, object]) -> None:
    write_atomically(place.path / RUN_FILE, json.dumps(about).encode())


def _own_seed(place: RunPlace) -> int:
    """Return the seed that the run was begun with: cohorts are drawn from it in every round."""
    path = place.path / RUN_FILE
    return int(json.loads(path.read_bytes()).get("seed", 0)) if path.exists() else 0


def _require_idle(place: RunPlace) -> list[float]:
    """Return the mark of the status that an earlier start has left."""
    status = read_status(place.path)
    if status and status.alive and status.phase not in FINAL:
        raise RunFolderError(
            f"the study runs already: {status.phase}, round {status.round_index}",
            where=str(place.path),
            remedy="wardround coordinator status; stop it first to start it anew",
        )
    return status.mark if status else []


def _config(
    folder: CoordinatorFolder, place: RunPlace, seed: int
) -> dict[str, str | int | float | bool]:
    roster = ""
    if place.study.privacy.profile == "masked":
        written = rosters.write_roster(folder, today=datetime.now(UTC).date())
        if written is None:
            raise SettingsError(
                "no roster is signed by enough hospitals, and the study needs one",
                where=str(folder.path),
                remedy="wardround coordinator roster; then each hospital: wardround node roster",
            )
        roster = str(written.resolve())
    return {
        "study": str(folder.study.resolve()),
        "output": str(place.path.resolve()),
        "roster": roster,
        "coordinator": str(folder.path.resolve()),
        "resume": (place.path / STATE_FILE).exists(),
        "seed": seed,
    }


def _bundle(place: RunPlace) -> bytes:
    bundle = make_bundle()
    if hashlib.sha256(bundle).hexdigest() != place.signed.seal.bundle:
        raise SettingsError(
            "the study was signed for runs of another version",
            where=str(place.path),
            remedy="wardround coordinator sign it again; hospitals then approve it again",
        )
    return bundle


@contextmanager
def asking(folder: CoordinatorFolder) -> Iterator[ControlApi]:
    """Open the Control API.

    Raises:
        CoordinatorDown: the coordinator's processes do not run.
    """
    try:
        with control_api(folder) as api:
            yield api
    except SuperLinkDown as error:
        raise CoordinatorDown(
            "the coordinator's processes do not run",
            where=str(folder.path),
            remedy="wardround coordinator start, in a window or as a service",
        ) from error


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
        place = place_of(folder)
        end = follow(folder, place, tell)
        final = end and end.phase in FINAL and end.why not in TAKEN_DOWN
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
            start_run(folder, wanted=None)
        except (CoordinatorDown, RunFolderError):  # or Flower has given up a process that lives on
            if time.monotonic() >= end:
                raise
            time.sleep(POLL_S)
        else:
            return


def wish(place: RunPlace, wanted: Wish) -> None:
    """Have the run pause, go on or stop after its present round.

    Raises:
        RunFolderError: there is no run.
    """
    _require_begun(place)
    set_wish(place.path, wanted)


def _require_begun(place: RunPlace) -> None:
    if not (place.path / RUN_FILE).exists():
        raise RunFolderError(
            "the study was never run", where=str(place.path), remedy="wardround coordinator run"
        )


def resume(folder: CoordinatorFolder) -> RunPlace:
    """Let a paused run go on; one whose process has ended is started from its last round.

    Raises:
        RunFolderError: there is no run to go on with.
    """
    place = place_of(folder)
    _require_begun(place)
    status = read_status(place.path)
    if status and status.alive and status.phase not in FINAL:
        wish(place, "run")
        return place
    return start_run(folder)


def follow(
    folder: CoordinatorFolder, place: RunPlace, tell: Callable[[dict[str, object]], None]
) -> Status | None:
    """Tell each attempt as it ends, until the run has ended; return its last status."""
    about = json.loads((place.path / RUN_FILE).read_bytes())
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
        if over or (fresh and (fresh.phase in FINAL or not fresh.alive)):
            return fresh
        time.sleep(POLL_S)


def _over(folder: CoordinatorFolder, run: int) -> bool:
    """Return whether Flower says that the run has ended; a SuperLink that is down says nothing."""
    try:
        with control_api(folder) as api:
            return api.run_status(run).startswith("finished")
    except SuperLinkDown:
        return False
