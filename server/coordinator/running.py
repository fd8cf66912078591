"""A study's run at a coordinator: start it or go on with it, hold it, end it.

What is known of a run is in its folder (server/control.py, server/state.py); that the coordinator's
processes were killed, or this command, changes nothing of it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from common.errors import RunFolderError, SettingsError
from common.files import write_atomically
from common.signed_study import SignedStudy, read_signed_study, seal_path
from common.study import Study
from server.control import Wish, read_status, set_wish
from server.coordinator import rosters
from server.coordinator.bundle import make_bundle
from server.coordinator.fleet import ControlApi, SuperLinkDown, control_api, register_pending
from server.coordinator.folder import CoordinatorFolder
from server.state import RECORDS_FILE, STATE_FILE

RUN_FILE, RUNS = "flower-run.json", "runs"
FINAL = ("below quorum", "stopped", "finished", "failed")


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
