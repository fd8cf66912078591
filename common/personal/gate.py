"""The gate: mixes candidates so that adapting does no harm.

For each number k of labelled patients the gate holds a weight for every candidate. They are learned
on validation tasks of the federation, which took no part in training the starts: at each of them
the candidates predict patients from supports of k, and the weights are those of least

    log-loss(s r + b)  +  log-loss of pairs(s r),      r = half (mean of logits + logit of mean)

Where no weights order the validation patients better than chance, the gate gives all the same.

The first term asks for calibrated probabilities, the second, the logistic loss of the difference of
a patient with and one without the diagnosis (RankNet, Burges et al., ICML 2005), for an order: of a
rare diagnosis the first alone hardly sees the order. A hospital's own evidence counts by the
candidates' leave-one-out log-likelihood on its support, to the power that the validation tasks
showed it to deserve. Stacking: Wolpert, Neural Networks 5, 1992; Yao, Vehtari, Simpson, Gelman,
Bayesian Analysis 13, 2018. What was tried beside it: docs/decisions/0008-gate.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from common.personal.candidates import Panel
from common.randomness import generator

STEPS, RATE = 120, 0.1
RIDGE, SMOOTH, CALM = 0.1, 0.1, 0.2
"""Penalties, of which each task bears its share: of weights unlike the prior's, of weights unlike
the next k's, of s and b that are not 1 and 0."""
PAIRS = 300
CHANCE = 0.5
INTERCEPT_SDS = (0.0, 0.3, 0.6, 1.0, 2.0)
_OWN_EVIDENCE = -3.0  # the power's logarithm at the start
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

    def for_patients(self, k: int) -> Scale:
        """Return what holds for k labelled patients: of the nearest k that was learned (in log)."""
        known = [n for n in self.at if (n > 0) == (k > 0)] or list(self.at)
        return self.at[min(known, key=lambda n: abs(np.log((n + 1) / (k + 1))))]


class Judged(NamedTuple):
    """A validation task at one k: all predictions, and labels of support [D, k] and others [n].

    The others hold both classes: the order of patients is learned from pairs.
    """

    panel: Panel
    support_y: Tensor
    y: Tensor


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
    weights = _weights(logs, at.own_evidence, own, usable)
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
    return _pooled(weights, *_both(logits))


def _both(logits: Tensor) -> tuple[Tensor, Tensor]:
    sound = torch.nan_to_num(logits)
    return sound, sound.sigmoid()


def _pooled(weights: Tensor, logits: Tensor, probabilities: Tensor) -> Tensor:
    mean = torch.einsum("cd,cdm->dm", weights, logits)
    p = torch.einsum("cd,cdm->dm", weights, probabilities).clamp(_CERTAIN, 1 - _CERTAIN)
    return (mean + p.logit()) / 2


def _weights(logs: Tensor, power: Tensor | float, own: Tensor, usable: Tensor) -> Tensor:
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


def learn(judged: Mapping[int, Sequence[Judged]], *, seed: int = 0) -> Gate:
    """Return the gate of least loss on the validation tasks, given by k; deterministic.

    Raises:
        ValueError: there is no task at any k.
    """
    ks = sorted(k for k, tasks in judged.items() if tasks)
    if not ks:
        raise ValueError("a gate needs validation tasks")
    at: dict[int, Scale] = {}
    for group in ([k for k in ks if not k], [k for k in ks if k]):  # k = 0 has its own candidates
        if group:
            at |= _learn({k: judged[k] for k in group}, seed)
    return Gate(at, max(len(tasks) for tasks in judged.values()))


class _Prepared(NamedTuple):
    """A judged task, ready for many passes."""

    places: Tensor  # of the panel's candidates among all names
    logits: Tensor
    probabilities: Tensor
    own: Tensor
    usable: Tensor
    y: Tensor
    pairs: tuple[Tensor, Tensor]


def _learn(judged: Mapping[int, Sequence[Judged]], seed: int) -> dict[int, Scale]:
    names = list(dict.fromkeys(c.name for ts in judged.values() for t in ts for c in t.panel[0]))
    rng = generator(seed, "gate")
    prepared = [[_prepare(task, names, rng) for task in tasks] for tasks in judged.values()]
    ks, prior, most = list(judged), _prior(names), max(map(len, prepared))
    moved = torch.zeros(len(ks), len(names), requires_grad=True)
    power = torch.full((len(ks),), _OWN_EVIDENCE, requires_grad=True)
    scale, bias = (torch.zeros(len(ks), requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([moved, power, scale, bias], lr=RATE)
    for _ in range(STEPS):
        loss = _penalty(moved, scale, bias) / most
        for i, tasks in enumerate(prepared):
            at = prior + moved[i], power[i].exp(), scale[i].exp(), bias[i]
            loss = loss + torch.stack([_loss(task, *at) for task in tasks]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = {}
    for i, k in enumerate(ks):
        logs = dict(zip(names, (prior + moved[i]).tolist(), strict=True))
        own, stretch, shift = (float(v.detach()) for v in (power[i].exp(), scale[i].exp(), bias[i]))
        learned = Scale(logs, own, stretch, shift, 0.0)
        if _concordance(prepared[i], prior + moved[i].detach(), own) <= CHANCE:
            learned = _nothing(judged[k])
        found[k] = _with_intercept(learned, judged[k])
    return found


def _concordance(tasks: Sequence[_Prepared], logs: Tensor, power: float) -> float:
    """Return the share of pairs whose patient with the diagnosis stands above the other."""
    total = 0.0
    for task in tasks:
        weights = _weights(logs[task.places], power, task.own, task.usable)
        r = _pooled(weights, task.logits, task.probabilities)
        with_it, without = task.pairs
        total += float((r[:, with_it] - r[:, without]).sign().mean())
    return 0.5 + total / len(tasks) / 2


def _nothing(judged: Sequence[Judged]) -> Scale:
    """Return the gate of no order: it gives everybody the tasks' mean prevalence."""
    prevalence = sum(float(task.y.float().mean()) for task in judged) / len(judged)
    return Scale({"prevalence": 0.0}, 0.0, 0.0, math.log(prevalence / (1 - prevalence)), 0.0)


def _prior(names: Sequence[str]) -> Tensor:
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


def _prepare(task: Judged, names: Sequence[str], rng: np.random.Generator) -> _Prepared:
    panel, y = task.panel, task.y.float()
    sound = torch.isfinite(panel.logits).all(-1) & torch.isfinite(panel.left_out).all(-1)
    positive, negative = (torch.where(y == c)[0].numpy() for c in (1, 0))
    pairs = [torch.from_numpy(rng.choice(rows, PAIRS)) for rows in (positive, negative)]
    return _Prepared(
        torch.tensor([names.index(c.name) for c in panel.candidates]),
        *_both(panel.logits),
        evidence(panel.left_out, task.support_y.float()),
        sound,
        y,
        (pairs[0], pairs[1]),
    )


def _loss(task: _Prepared, logs: Tensor, power: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    weights = _weights(logs[task.places], power, task.own, task.usable)
    f = scale * _pooled(weights, task.logits, task.probabilities) + bias
    with_it, without = task.pairs
    return (softplus(f) - task.y * f).mean() + softplus(f[:, without] - f[:, with_it]).mean()


def _penalty(moved: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Return the penalties, summed over k."""
    found = RIDGE * moved.square().mean(1).sum() + CALM * (scale.square() + bias.square()).sum()
    for part in (moved, scale[:, None], bias[:, None]):
        found = found + SMOOTH * part.diff(dim=0).square().mean(1).sum()
    return found


def _with_intercept(at: Scale, judged: Sequence[Judged]) -> Scale:
    """Return the scale with the intercept's spread of least log-loss; ties take the smaller."""

    def loss(sd: float) -> float:
        trial, total = at._replace(intercept_sd=sd), 0.0
        for task in judged:
            f = mix(trial, task.panel, task.support_y.float()).logits
            total += float((softplus(f) - task.y * f).mean())
        return total / len(judged)

    losses = {sd: loss(sd) for sd in INTERCEPT_SDS}
    best = min(losses, key=lambda sd: losses[sd])
    return at._replace(intercept_sd=best if losses[best] < losses[0.0] - 1e-4 else 0.0)
