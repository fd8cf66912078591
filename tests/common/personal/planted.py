"""Tasks on which one candidate knows the diagnosis, and all others guess."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.metrics import areas
from common.personal.candidates import Candidate, Panel
from common.personal.gate import Mixed, Scale, mix
from common.personal.learning import Judged
from common.randomness import generator

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
PREVALENCE, GOOD = Candidate("", "prevalence"), Candidate("maml", "full", 4.0)
NOISE = (
    Candidate("maml", "full", 1.0),
    Candidate("", "local", 0.1),
    Candidate("maml", "head", 3.0),
)
CANDIDATES = (PREVALENCE, GOOD, *NOISE)


def planted(
    seed: int,
    *,
    k: int = 6,
    n: int = 60,
    draws: int = 2,
    signal: float = 3.0,
    shuffled: bool = False,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> Judged:
    """A task on which `GOOD` alone knows anything, about support and other patients alike.

    shuffled: not even that one does.
    """
    rng = generator("planted", seed, k)

    def logits(y: Labels) -> Tensor:
        shown = rng.permutation(y.ravel()).reshape(y.shape) if shuffled else y
        return torch.from_numpy(np.stack([said(c, shown) for c in candidates])).float()

    def said(candidate: Candidate, shown: Labels) -> Floats:
        """What a candidate says of patients whom it is shown with these labels."""
        noise = signal * rng.normal(size=shown.shape) / 2
        if candidate == PREVALENCE:
            return np.full(shown.shape, math.log(0.3 / 0.7))
        if candidate == GOOD:
            return signal * (shown - 0.5) + rng.normal(size=shown.shape)
        return noise

    y = (np.arange(n) < 0.3 * n).astype(np.int64)
    support_y = (rng.random((draws, k)) < 0.3).astype(np.int64)
    of_others, left_out = logits(np.broadcast_to(y, (draws, n))), logits(support_y)
    panel = Panel(tuple(candidates), of_others, left_out, torch.zeros(draws, n))
    return Judged(panel, torch.from_numpy(support_y), torch.from_numpy(y))


def tasks(number: int, *, first: int = 0, **given: object) -> list[Judged]:
    return [planted(seed, **given) for seed in range(first, first + number)]  # type: ignore[arg-type]


def applied(at: Scale, task: Judged) -> Mixed:
    return mix(at, task.panel, task.support_y.float())


def scale_of(**given: object) -> Scale:
    """Equal weights, no correction of any kind, changed as given."""
    plain = Scale({c.name: 0.0 for c in CANDIDATES}, 0.0, 1.0, 0.0, 0.0)
    return plain._replace(**given)  # type: ignore[arg-type]


def auroc(logits: Tensor, y: Tensor) -> float:
    return float(areas(y.numpy(), logits.double().numpy()).mean())


def log_loss(logits: Tensor, y: Tensor) -> float:
    return float((torch.nn.functional.softplus(logits) - y * logits).mean())
