"""All that must survive a round, in one file that is whole at every instant.

`state.safetensors` holds the vectors; its header holds the rest as JSON with a SHA-256 over both.
No object is ever decoded from it, only numbers and text.
"""

import hashlib
import json
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

STATE_FILE, INITIALIZATION_FILE = "state.safetensors", "initialization.safetensors"
_VECTORS = ("meta", "m", "v")


@dataclass(frozen=True)
class RoundRecord:
    """What happened in one attempt at a round: who took part, and who was dropped and why."""

    round_index: int
    attempt: int
    closed: bool
    accepted: tuple[str, ...]
    dropped: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class ServerState:
    """Rounds done, what is learned so far (`meta` [d]), the optimizer's state, the record."""

    study: str
    round_index: int
    meta: Tensor
    optimizer: OptimizerState
    records: tuple[RoundRecord, ...] = ()

    def recorded(self, record: RoundRecord) -> "ServerState":
        """Return this state with one more record."""
        return replace(self, records=(*self.records, record))

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


def save_state(folder: Path, state: ServerState) -> None:
    """Write the state; a crash at any instant leaves the last whole one."""
    vectors = {"meta": state.meta, "m": state.optimizer.m, "v": state.optimizer.v}
    header = {
        "schema": 1,
        "study": state.study,
        "round": state.round_index,
        "step": state.optimizer.step,
        "records": [asdict(record) for record in state.records],
    }
    text = json.dumps(header)
    metadata = {"state": text, "sha256": _digest(text, vectors)}
    write_atomically(folder / STATE_FILE, save(vectors, metadata=metadata))


def load_state(folder: Path, study: Study, learner: Learner) -> ServerState:
    """Return the state in `folder`.

    Raises:
        RunFolderError: there is none, it is damaged, or it belongs to another study.
    """
    path = folder / STATE_FILE
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
    records = (RoundRecord(**{**r, "accepted": tuple(r["accepted"])}) for r in header["records"])
    optimizer = OptimizerState(header["step"], vectors["m"], vectors["v"])
    return ServerState(study.id, header["round"], vectors["meta"], optimizer, tuple(records))


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
        if metadata["sha256"] != _digest(metadata["state"], vectors) or header["schema"] != 1:
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
