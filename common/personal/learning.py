"""Learning the gate on the validation tasks of a federation.

They took no part in training the starts. At each of them the candidates predict patients from
supports of k, and the weights are those of least

    log-loss(s r + b)  +  log-loss of pairs(s r)

The first term asks for calibrated probabilities, the second, the logistic loss of the difference of
a patient with and one without the diagnosis (RankNet, Burges et al., ICML 2005), for an order: of a
rare diagnosis the first alone hardly sees the order. Where no weights order the validation patients
better than chance, the gate gives all the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from common.personal.candidates import Panel
from common.personal.gate import (
    Gate,
    Scale,
    evidence,
    mix,
    pooled_of,
    prior_log_weights,
    sound_and_sigmoid,
    weights_of,
)
from common.randomness import generator

STEPS, RATE = 120, 0.1
RIDGE, SMOOTH, CALM = 0.1, 0.1, 0.2
"""Penalties, of which each task bears its share: of weights unlike the prior's, of weights unlike
the next k's, of s and b that are not 1 and 0."""
PAIRS = 300
CHANCE = 0.5
INTERCEPT_SDS = (0.0, 0.3, 0.6, 1.0, 2.0)
_OWN_EVIDENCE = -3.0  # the power's logarithm at the start


class Judged(NamedTuple):
    """A validation task at one k: all predictions, and labels of support [D, k] and others [n].

    The others hold both classes: the order of patients is learned from pairs.
    """

    panel: Panel
    support_y: Tensor
    y: Tensor


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
    ks, prior, most = list(judged), prior_log_weights(names), max(map(len, prepared))
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
        weights = weights_of(logs[task.places], power, task.own, task.usable)
        r = pooled_of(weights, task.logits, task.probabilities)
        with_it, without = task.pairs
        total += float((r[:, with_it] - r[:, without]).sign().mean())
    return 0.5 + total / len(tasks) / 2


def _nothing(judged: Sequence[Judged]) -> Scale:
    """Return the gate of no order: it gives everybody the tasks' mean prevalence."""
    prevalence = sum(float(task.y.float().mean()) for task in judged) / len(judged)
    return Scale({"prevalence": 0.0}, 0.0, 0.0, math.log(prevalence / (1 - prevalence)), 0.0)


def _prepare(task: Judged, names: Sequence[str], rng: np.random.Generator) -> _Prepared:
    panel, y = task.panel, task.y.float()
    sound = torch.isfinite(panel.logits).all(-1) & torch.isfinite(panel.left_out).all(-1)
    positive, negative = (torch.where(y == c)[0].numpy() for c in (1, 0))
    pairs = [torch.from_numpy(rng.choice(rows, PAIRS)) for rows in (positive, negative)]
    return _Prepared(
        torch.tensor([names.index(c.name) for c in panel.candidates]),
        *sound_and_sigmoid(panel.logits),
        evidence(panel.left_out, task.support_y.float()),
        sound,
        y,
        (pairs[0], pairs[1]),
    )


def _loss(task: _Prepared, logs: Tensor, power: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    weights = weights_of(logs[task.places], power, task.own, task.usable)
    f = scale * pooled_of(weights, task.logits, task.probabilities) + bias
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
