"""What is published: read from a run folder, its study, and the coordinator's folder if given.

Nothing is taken from elsewhere, and a run that has not finished is refused unless it was asked for.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from common.crypto import SigningKey
from common.errors import InvalidMessage, NonFiniteError, RunFolderError, SettingsError
from common.learner import Learner, make_learner
from common.parameters import Params, unflatten
from common.privacy.masking.statements import Signed
from common.publication.manifest import STUDY
from common.signed_study import Seal, read_signed_study, seal_path
from common.study import Study, read_study
from server.control import Phase, Status, read_status
from server.coordinator.folder import CoordinatorFolder
from server.state import (
    INITIALIZATION_FILE,
    Checkpoint,
    RoundRecord,
    ServerState,
    load_initialization,
)

SIMULATION = "run.json"
UNSEALED = "study.toml has no signature here: the coordinator's folder holds none of this study"


class Signatures(NamedTuple):
    """seal: study.toml.sig as it stands, "" if there is none. signer: signs the manifest."""

    seal: str = ""
    signer: SigningKey | None = None


@dataclass(frozen=True)
class Given:
    """A run as it is published. simulated: its hospitals were virtual, as far as its folder says.

    notes: what is missing, and why.
    """

    folder: Path
    study: Study
    learner: Learner
    state: ServerState
    records: Sequence[RoundRecord]
    phase: Phase
    signatures: Signatures
    simulated: bool
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether all of the study's rounds are done, and the run has ended well."""
        return self.phase == "finished" and self.state.round_index == self.study.server.rounds

    @property
    def meta(self) -> Params:
        """What was learned, under the model's parameter names."""
        return unflatten(self.state.meta.clone(), self.learner.initial)

    @property
    def private(self) -> bool:
        """Whether noise came from secrets of hospitals: never of a run that may be a simulation."""
        signed = bool(self.signatures.seal) and self.signatures.signer is not None
        return signed and not self.simulated and self.study.privacy.noise_multiplier > 0

    def noting(self, *notes: str) -> "Given":
        """Return the same with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def open_run(
    folder: Path,
    *,
    study: Path | None = None,
    coordinator: CoordinatorFolder | None = None,
    unfinished: bool = False,
) -> Given:
    """Return what the run in `folder` has to publish.

    study: its study.toml, if neither the run folder nor the coordinator's holds it.

    Raises:
        RunFolderError: the run has not finished (unless `unfinished`), is under way, or is damaged.
        SettingsError: there is no study, or its signature is wrong.
    """
    status, path = _status(folder), study or _study_path(folder, coordinator)
    read = read_study(path)
    learner, checkpoint = make_learner(read, seed=0), Checkpoint(folder)
    state = checkpoint.load(read, learner)
    given = Given(
        folder=folder,
        study=read,
        learner=learner,
        state=state,
        records=list(checkpoint.records()),
        phase=status.phase,
        signatures=_signatures(read, path, coordinator),
        simulated=any((p / SIMULATION).exists() for p in (folder, folder.resolve().parent)),
    )
    _check_phase(given, status, unfinished=unfinished)
    _check_numbers(given)
    unsealed = coordinator is not None and not given.signatures.seal
    return given.noting(UNSEALED) if unsealed else given


def read_object(path: Path, study: str) -> dict[str, Any] | None:
    """Return a JSON object of the run folder, or None if there is none or it is another study's."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunFolderError(
            "the file cannot be read", where=str(path), remedy="remove it, or restore it"
        ) from error
    if not isinstance(found, dict):
        return None
    of = found.get("study")
    own = of.get("id") if isinstance(of, dict) else of
    return found if own == study else None


def _status(folder: Path) -> Status:
    status = read_status(folder)
    if status is None:
        raise RunFolderError(
            "this is no folder of a run", where=str(folder), remedy="name the run's output folder"
        )
    return status


def _study_path(folder: Path, coordinator: CoordinatorFolder | None) -> Path:
    places = [folder / STUDY, *([coordinator.study] if coordinator else [])]
    for path in places:
        if path.exists():
            return path
    raise SettingsError(
        "the run's study is not here", where=str(folder), remedy="name it with --study"
    )


def _check_phase(given: Given, status: Status, *, unfinished: bool) -> None:
    done = f"{given.state.round_index} of {given.study.server.rounds} rounds"
    if status.phase in ("roll call", "running") and status.alive:
        raise RunFolderError(
            f"the run is under way, {done}",
            where=str(given.folder),
            remedy="wait for its end, or pause it and export with --unfinished",
        )
    if not given.finished and not unfinished:
        raise RunFolderError(
            f"the run has not finished: {status.phase}, {done}",
            where=str(given.folder),
            remedy="resume it, or export it as unfinished with --unfinished",
        )


def _check_numbers(given: Given) -> None:
    """Refuse an initialization that is not finite, or other than the one that the run wrote."""
    if not torch.isfinite(given.state.meta).all():
        raise NonFiniteError(
            "the initialization is NaN or infinite",
            where=str(given.folder),
            remedy="train anew with a lower meta_lr or inner_lr",
        )
    path = given.folder / INITIALIZATION_FILE
    if given.finished and path.exists() and not _same(path, given):
        raise RunFolderError(
            "the initialization is not the checkpoint's",
            where=str(path),
            remedy="resume the run: it writes the file anew",
        )


def _same(path: Path, given: Given) -> bool:
    try:
        written = load_initialization(path, given.learner)
    except (OSError, SafetensorError, KeyError):
        return False
    return all(torch.equal(p, written[name]) for name, p in given.meta.items())


def _signatures(study: Study, path: Path, coordinator: CoordinatorFolder | None) -> Signatures:
    """Return the study's seal, checked, and who signs the manifest."""
    signer = coordinator.signer() if coordinator else None
    for place in [path, *([coordinator.study] if coordinator else [])]:
        if not place.exists() or not seal_path(place).exists() or read_study(place).id != study.id:
            continue
        text = seal_path(place).read_text(encoding="utf-8").strip()
        read_signed_study(place, key=signer.public.hex() if signer else _sealer(text, place))
        return Signatures(text, signer)
    return Signatures("", signer)


def _sealer(text: str, place: Path) -> str:
    try:
        return Seal.read(Signed.read(text).statement).key
    except InvalidMessage as error:
        raise SettingsError(
            "the study's signature is unreadable",
            where=str(seal_path(place)),
            remedy="sign the study again: wardround coordinator sign",
        ) from error
