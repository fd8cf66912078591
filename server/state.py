"""All that must survive a round: what was learned in one file, what happened in another.

`state.safetensors` holds the vectors; its header holds the rest as JSON with a SHA-256 over both.
It is replaced as a whole. `rounds.jsonl` grows by one line for each attempt at a round; the state
says how much of it belongs to the past, so lines of a round that a crash cut off are taken back.
No object is ever decoded from either, only numbers and text.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from common.errors import RunFolderError
from common.files import write_atomically
from common.learner import Learner
from common.optimizers import OptimizerState, initial_state, optimizer_step
from common.parameters import Params, flatten, unflatten
from common.study import Study

STATE_FILE, RECORDS_FILE = "state.safetensors", "rounds.jsonl"
INITIALIZATION_FILE = "initialization.safetensors"
_VECTORS = ("meta", "m", "v")


@dataclass(frozen=True)
class RoundRecord:
    """What happened in one attempt at a round: who took part, and who was dropped and why.

    seconds: how long it took. ended: Unix time, to the second; 0 in records of older versions.
    """

    round_index: int
    attempt: int
    closed: bool
    accepted: tuple[str, ...]
    dropped: dict[str, str]
    seconds: float
    ended: int = 0


@dataclass(frozen=True)
class ServerState:
    """Rounds done, what is learned so far (`meta` [d]), and the optimizer's state."""

    study: str
    round_index: int
    meta: Tensor
    optimizer: OptimizerState

    def stepped(self, study: Study, update: Tensor) -> "ServerState":
        """Return the state after the server optimizer's step against `update` [d]."""
        server = study.server
        meta, optimizer = optimizer_step(
            server.optimizer, self.meta, update, self.optimizer, lr=server.meta_lr
        )
        return replace(self, round_index=self.round_index + 1, meta=meta, optimizer=optimizer)


def first_state(study: Study, learner: Learner) -> ServerState:
    """Return the state before round 1."""
    meta = flatten(learner.initial)
    return ServerState(study.id, 0, meta, initial_state(study.server.optimizer, meta))


@dataclass
class Checkpoint:
    """The two files of a run in `folder`; end: how many bytes of the records are of the past."""

    folder: Path
    end: int = 0

    def save(self, state: ServerState, record: RoundRecord | None = None) -> None:
        """Append the record, then replace the state; a crash at any instant leaves a whole pair."""
        if record is not None:
            self.end = _append(self.folder / RECORDS_FILE, self.end, asdict(record))
        vectors = {"meta": state.meta, "m": state.optimizer.m, "v": state.optimizer.v}
        header = {
            "schema": 2,
            "study": state.study,
            "round": state.round_index,
            "step": state.optimizer.step,
            "records": self.end,
        }
        text = json.dumps(header)
        metadata = {"state": text, "sha256": _digest(text, vectors)}
        write_atomically(self.folder / STATE_FILE, save(vectors, metadata=metadata))

    def load(self, study: Study, learner: Learner) -> ServerState:
        """Return the state in the folder.

        Raises:
            RunFolderError: there is none, it is damaged, or it belongs to another study.
        """
        path = self.folder / STATE_FILE
        if not path.exists():
            raise RunFolderError("no checkpoint", where=str(path), remedy="start without --resume")
        header, vectors = _read(path)
        if header["study"] != study.id:
            raise RunFolderError(
                "the checkpoint belongs to another study",
                where=str(path),
                remedy="resume with its study",
            )
        if any(v.shape != (learner.dim,) for v in vectors.values()):
            raise _damaged(path)
        self.end = header["records"]
        optimizer = OptimizerState(header["step"], vectors["m"], vectors["v"])
        return ServerState(study.id, header["round"], vectors["meta"], optimizer)

    def records(self) -> Iterator[RoundRecord]:
        """Yield what happened in each attempt at a round, up to the saved state.

        Raises:
            RunFolderError: the file is damaged.
        """
        path = self.folder / RECORDS_FILE
        try:
            with path.open("rb") as file:
                while file.tell() < self.end:
                    fields = json.loads(file.readline())
                    yield RoundRecord(**fields | {"accepted": tuple(fields["accepted"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _damaged(path) from error


def read_records(folder: Path, study: Study, learner: Learner) -> list[RoundRecord]:
    """Return what happened in each attempt at a round of the run in `folder`.

    Raises:
        RunFolderError: a file is missing, damaged, or belongs to another study.
    """
    checkpoint = Checkpoint(folder)
    checkpoint.load(study, learner)
    return list(checkpoint.records())


def load_state(folder: Path, study: Study, learner: Learner) -> ServerState:
    """Return the state of the run in `folder`; raises as `Checkpoint.load` does."""
    return Checkpoint(folder).load(study, learner)


def _append(path: Path, end: int, fields: dict[str, Any]) -> int:
    """Write one line at `end`, whatever came after it, fsync, and return the new end."""
    line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.truncate(end)
        file.seek(end)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return end + len(line)


def save_initialization(path: Path, learner: Learner, meta: Tensor) -> None:
    """Write `meta` under the model's own parameter names, for use outside a run."""
    write_atomically(path, save(unflatten(meta.clone(), learner.initial)))


def load_initialization(path: Path, learner: Learner) -> Params:
    """Return what `save_initialization` wrote, in the learner's own order of names."""
    written = load_file(path)
    return {name: written[name] for name in learner.initial}


def snapshot_path(folder: Path, round_index: int) -> Path:
    """Return where the initialization after a round is kept."""
    return folder / "history" / f"{round_index:06d}.safetensors"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            vectors = {name: file.get_tensor(name) for name in _VECTORS}
            metadata = file.metadata() or {}
        header: dict[str, Any] = json.loads(metadata["state"])
        if metadata["sha256"] != _digest(metadata["state"], vectors) or header["schema"] != 2:
            raise _damaged(path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(path) from error
    return header, vectors


def _damaged(path: Path) -> RunFolderError:
    return RunFolderError(
        "the checkpoint is damaged", where=str(path), remedy="restore it from a copy, or start anew"
    )


def _digest(text: str, vectors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in _VECTORS:
        digest.update(vectors[name].numpy().tobytes())
    return digest.hexdigest()
