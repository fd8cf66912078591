"""What a run folder holds of learning: metrics.json, and copies of the initialization.

A coordinator sees no patient, so it knows how good the model is only where sites have voted, with
noise, after the last round. Of metrics.json the page takes estimates and standard errors; counts
and declared sizes stay where they are.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

METRICS_FILE, HISTORY = "metrics.json", "history"
MOST_METRICS, MOST_COPY = 4_000_000, 64_000_000
AT_A_TIME = 20
MOST_STEPS = 400
Vector = npt.NDArray[np.float64]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Measured(_Read):
    """An estimate and its standard error."""

    value: float
    standard_error: float


class TaskMetrics(_Read):
    """How good the shared model is at one task, by the votes of some sites."""

    estimates: dict[str, Measured] = {}
    informative: bool = False
    sites: tuple[str, ...] = ()


class Metrics(_Read):
    """metrics.json, as far as it is shown."""

    round: int = 0
    note: str = ""
    tasks: dict[str, TaskMetrics] = {}
    missing: dict[str, str] = {}
    refused: dict[str, str] = {}


def read_metrics(folder: Path) -> Metrics | None:
    """Return the metrics in a run folder, or None where there are none that can be read."""
    path = folder / METRICS_FILE
    try:
        if path.stat().st_size > MOST_METRICS:
            return None
        return Metrics.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


@dataclass
class Movement:
    """How far the initialization moves a round, between the copies that the run keeps of it.

    steps: round of the later copy, and Euclidean norm of the change divided by the rounds between.
    """

    folder: Path
    steps: list[tuple[int, float]] = field(default_factory=list)
    _round: int = 0
    _vector: Vector | None = None

    def refresh(self) -> bool:
        """Take in copies that have come, some at a time; return whether there were any."""
        new = [found for found in _copies(self.folder / HISTORY) if found[0] > self._round]
        for round_index, path in new[:AT_A_TIME]:
            self._take(round_index, _vector(path))
        return bool(new)

    def _take(self, round_index: int, vector: Vector | None) -> None:
        before, known = self._round, self._vector
        self._round = round_index
        if vector is None:
            return
        self._vector = vector
        if known is not None and known.shape == vector.shape:
            norm = float(np.linalg.norm(vector - known))
            self.steps.append((round_index, norm / (round_index - before)))
            if len(self.steps) > MOST_STEPS:
                self.steps = _halved(self.steps)


def _halved(steps: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the steps two by two: the later round, and the mean of what they hold."""
    pairs = zip(steps[::2], steps[1::2], strict=False)
    odd = steps[-1:] if len(steps) % 2 else []
    return [(later[0], (first[1] + later[1]) / 2) for first, later in pairs] + odd


def _copies(folder: Path) -> list[tuple[int, Path]]:
    paths = folder.glob("*.safetensors") if folder.is_dir() else ()
    return sorted((int(path.stem), path) for path in paths if path.stem.isdecimal())


def _vector(path: Path) -> Vector | None:
    """Return all parameters in a row; None for a copy that cannot be read."""
    try:
        if path.stat().st_size > MOST_COPY:
            return None
        found = load_file(path)
    except (OSError, SafetensorError):
        return None
    flat = [found[name].astype(np.float64).ravel() for name in sorted(found)]
    vector: Vector = np.concatenate(flat) if flat else np.zeros(0)
    return vector if np.isfinite(vector).all() else None
