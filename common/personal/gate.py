"""The gate: mixes candidates so that adapting does no harm.

For each number k of labelled patients it holds a weight for every candidate, learned on validation
tasks of the federation (common/personal/learning.py). A hospital's own evidence counts by the
candidates' leave-one-out log-likelihood on its support, to the power that the validation tasks
showed it to deserve. The probability of a patient is that of

    s r + b + c,      r = half (mean of the candidates' logits + logit of their mean probability)

c is an intercept fitted to the support's left-out predictions. Stacking: Wolpert, Neural Networks
5, 1992; Yao, Vehtari, Simpson, Gelman, Bayesian Analysis 13, 2018. What was tried beside it:
docs/decisions/0008-gate.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from common.personal.candidates import Panel

_CERTAIN = 1e-6


class Scale(NamedTuple):
    """A gate at one k. log_weights by candidate's name; the others see the module's equation.

    own_evidence: the power of the hospital's own evidence. intercept_sd: of the last correction,
    an intercept ~ N(0, intercept_sd^2) fitted to the left-out predictions; 0 is none.
    """

    log_weights: Mapping[str, float]
    own_evidence: float
    scale: float
    bias: float
    intercept_sd: float


@dataclass(frozen=True)
class Gate:
    """What the federation's validation tasks taught, by k; `tasks` is their number."""

    at: Mapping[int, Scale]
    tasks: int

    def nearest(self, k: int) -> int:
        """Return the nearest number of patients (in log) that was learned; of 0, 0 if it was."""
        known = [n for n in self.at if (n > 0) == (k > 0)] or list(self.at)
        return min(known, key=lambda n: abs(np.log((n + 1) / (k + 1))))

    def for_patients(self, k: int) -> Scale:
        """Return what holds for k labelled patients: what was learned at the nearest number."""
        return self.at[self.nearest(k)]


class Mixed(NamedTuple):
    """The gate's logits [D, n], and those of each support patient from the others [D, k].

    weights [C, D]: how the candidates of the panel were mixed; the evidence of all support
    patients is in them, for left_out too.
    """

    logits: Tensor
    left_out: Tensor
    weights: Tensor


def mix(at: Scale, panel: Panel, support_y: Tensor) -> Mixed:
    """Return the gate's predictions; candidates that it does not know, or that are NaN, get none.

    Raises:
        ValueError: no candidate of the panel is known to the gate, or none that is, is finite.
    """
    known = [c.name in at.log_weights for c in panel.candidates]
    if not any(known):
        raise ValueError("the gate knows none of the candidates")
    logs = torch.tensor([at.log_weights.get(c.name, 0.0) for c in panel.candidates])
    sound = torch.isfinite(panel.logits).all(-1) & torch.isfinite(panel.left_out).all(-1)  # [C, D]
    usable = sound & torch.tensor(known)[:, None]
    if not bool(usable.any(0).all()):
        raise ValueError("no candidate that the gate knows is finite")
    own = evidence(panel.left_out, support_y)
    weights = weights_of(logs, at.own_evidence, own, usable)
    logits = at.scale * pooled(weights, panel.logits) + at.bias
    left_out = at.scale * pooled(weights, panel.left_out) + at.bias
    shift = _intercept(left_out, support_y, at.intercept_sd)
    return Mixed(logits + shift[:, :1], left_out + shift[:, 1:], weights)


def evidence(left_out: Tensor, support_y: Tensor) -> Tensor:
    """Return each candidate's leave-one-out log-likelihood [C, D] of the support; 0 if it is NaN.

    left_out [C, D, k], support_y [D, k].
    """
    losses = softplus(left_out) - support_y * left_out
    return torch.nan_to_num(-losses.sum(-1), nan=0.0, posinf=0.0, neginf=0.0)


def pooled(weights: Tensor, logits: Tensor) -> Tensor:
    """Return r [D, m] of logits [C, D, m]: midway between the mean logit and the mean probability.

    weights [C, D] sum to 1 over candidates; one of weight 0 may be NaN.
    """
    return pooled_of(weights, *sound_and_sigmoid(logits))


def sound_and_sigmoid(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, NaN as 0, and their probabilities."""
    sound = torch.nan_to_num(logits)
    return sound, sound.sigmoid()


def pooled_of(weights: Tensor, logits: Tensor, probabilities: Tensor) -> Tensor:
    """Return r [D, m] of logits and probabilities [C, D, m] under weights [C, D]."""
    mean = torch.einsum("cd,cdm->dm", weights, logits)
    p = torch.einsum("cd,cdm->dm", weights, probabilities).clamp(_CERTAIN, 1 - _CERTAIN)
    return (mean + p.logit()) / 2


def prior_log_weights(names: Sequence[str]) -> Tensor:
    """Return log-weights that favour no start over another, nor a family with many strengths."""
    starts = [name.split("/")[0] if "/" in name else "" for name in names]
    families = [name.rpartition("/")[0] if name.count("/") == 2 else name for name in names]
    own = [
        name.split("/")[0] if start == "" else start
        for name, start in zip(names, starts, strict=True)
    ]
    logs = []
    for start, family in zip(own, families, strict=True):
        siblings = {f for s, f in zip(own, families, strict=True) if s == start}
        logs.append(-np.log(len(set(own)) * len(siblings) * families.count(family)))
    return torch.tensor(logs, dtype=torch.float32)


def weights_of(logs: Tensor, power: Tensor | float, own: Tensor, usable: Tensor) -> Tensor:
    """Return weights [C, D] that sum to 1 over the usable candidates [C, D].

    logs [C]; own [C, D]: the evidence, which counts to the given power.
    """
    scores = logs[:, None] + power * own
    return torch.where(usable, scores, -torch.inf).softmax(0)


def _intercept(left_out: Tensor, y: Tensor, sd: float) -> Tensor:
    """Return the most likely intercepts under N(0, sd^2), 0 without patients: [D, 1 + k].

    The first is that of all support patients, the others each that of all but one.
    """
    k = left_out.shape[1]
    counts = torch.cat([torch.ones(1, k), 1 - torch.eye(k)])
    shift = torch.zeros(len(left_out), 1 + k)
    if not sd or not k:
        return shift
    for _ in range(10):
        p = (left_out[:, None] + shift[..., None]).sigmoid()  # [D, 1 + k, k]
        gradient = (counts * (y[:, None] - p)).sum(-1) - shift / sd**2
        curvature = (counts * p * (1 - p)).sum(-1) + 1 / sd**2
        shift = shift + (gradient / curvature).clamp(-2, 2)
    return shift
