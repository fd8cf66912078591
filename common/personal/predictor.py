"""A hospital's fitted model as one torch module: a patient's inputs to a probability.

The candidates' posteriors are solved once; what is left is products with the support, so that one
patient costs little, and the same patient gets the same bits whatever else is asked for. It is the
panel and the gate once more, in a form that can be exported; tests hold the two together.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from common.adaptation import adapt
from common.algorithms.base import theta_of
from common.episodes import Rows
from common.personal.candidates import FREE_INTERCEPT, INTERCEPT, LOCAL, Candidate
from common.personal.gate import Scale, pooled
from common.personal.laplace import fitted, moderated
from common.personal.starts import Start, by_all, by_head, units

_MOST = 13.815511  # logit of 1 - 1e-6: beyond it a candidate by steps is cut off
_LIKE = Candidate("", "local", LOCAL[-1])
"""The candidate whose remaining variance is a patient's unlikeness."""


class Predictor(nn.Module):
    """The mixture of candidates that was fitted to k labelled patients.

    weights: by candidate, those with weight only. shift: the gate's last correction.
    x [k, inputs] and y [k] are the support; allowed [inputs] says which inputs may be seen.
    """

    weights: Tensor
    allowed: Tensor

    def __init__(
        self,
        starts: Sequence[Start],
        x: Tensor,
        y: Tensor,
        allowed: Tensor,
        *,
        weights: Mapping[Candidate, float],
        at: Scale,
        shift: float,
    ) -> None:
        super().__init__()
        x, y = x.double(), y.double()
        self.candidates = [c for c, weight in weights.items() if weight > 0]
        own = [weights[c] for c in self.candidates]
        self.register_buffer("weights", torch.tensor(own, dtype=torch.float64)[:, None])
        self.register_buffer("allowed", allowed.double())
        self.scale, self.bias = at.scale, at.bias + shift
        self.sight = _Sight(starts, x)
        self.parts = nn.ModuleList(_part(c, starts, self.sight, x, y) for c in self.candidates)
        self.like = _process(_LIKE, self.sight(x), y)

    def forward(self, x: Tensor) -> Tensor:
        """Return the probabilities [n] of patients x [n, inputs], encoded by the study."""
        x = x.double() * self.allowed
        seen = self.sight(x)
        found = [
            part(x).clamp(-_MOST, _MOST) if c.family == "steps" else part(*_covariances(c, seen))
            for c, part in zip(self.candidates, self.parts, strict=True)
        ]
        mixed = pooled(self.weights, torch.stack(found)[:, None])[0]
        return (self.scale * mixed + self.bias).sigmoid()

    def unlikeness(self, x: Tensor) -> Tensor:
        """Return how little the support says about patients x [n, inputs], [n] from 0 to 1."""
        seen = self.sight(x.double() * self.allowed)
        return self.like.remaining(*_covariances(_LIKE, seen)[:2])


class _Seen(NamedTuple):
    """Covariances [n, k] of patients with the support and their variances [n], by start and kind.

    offsets: the starts' logits [n], by name; that of no start, "", is 0.
    """

    covariances: Mapping[tuple[str, str], tuple[Tensor, Tensor]]
    offsets: Mapping[str, Tensor]


def _covariances(candidate: Candidate, seen: _Seen) -> tuple[Tensor, Tensor, Tensor]:
    """Return a candidate's unscaled covariances and variances, and the logit it starts from."""
    layers = candidate.family in ("head", "full")
    kind = (candidate.start, candidate.family) if layers else ("", "inputs")
    return *seen.covariances[kind], seen.offsets[candidate.start]


def _part(
    candidate: Candidate, starts: Sequence[Start], sight: nn.Module, x: Tensor, y: Tensor
) -> nn.Module:
    if candidate.family == "steps":
        (start,) = [s for s in starts if s.name == candidate.start]
        return _Network(_stepped(start, x, y, int(candidate.strength)))
    return _process(candidate, sight(x), y)


def _process(candidate: Candidate, seen: _Seen, y: Tensor) -> "_Process":
    cross, variance, offset = _covariances(candidate, seen)
    factor, intercept = candidate.strength, INTERCEPT if candidate.start else FREE_INTERCEPT
    if candidate.family in ("head", "full"):
        factor = factor / float(variance.mean().clamp_min(1e-12))
    elif candidate.family in ("zero", "intercept"):
        factor, intercept = 0.0, candidate.strength
    return _Process(cross * factor + intercept, offset, y, factor=factor, intercept=intercept)


class _Process(nn.Module):
    """A Gaussian process on top of a start's logit, or of none, fitted to the support."""

    slope: Tensor
    whitening: Tensor

    def __init__(
        self, own: Tensor, offset: Tensor, y: Tensor, *, factor: float, intercept: float
    ) -> None:
        super().__init__()
        slope, whitening = fitted(own[None], offset[None], y[None])
        self.register_buffer("slope", slope[0])
        self.register_buffer("whitening", whitening[0])
        self.factor, self.intercept = factor, intercept

    def forward(self, cross: Tensor, variance: Tensor, offset: Tensor) -> Tensor:
        """Return the logits [n] of patients, by their unscaled covariances and variances."""
        rest, _ = self._variances(cross, variance)
        mean = (cross * self.factor + self.intercept) @ self.slope
        return moderated(offset + mean, rest)

    def remaining(self, cross: Tensor, variance: Tensor) -> Tensor:
        """Return the share [n] of the prior variance that the support leaves."""
        rest, prior = self._variances(cross, variance)
        return rest / prior

    def _variances(self, cross: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        prior = variance * self.factor + self.intercept
        seen = (cross * self.factor + self.intercept) @ self.whitening.mT
        return (prior - seen.square().sum(1)).clamp_min(0.0), prior


class _Sight(nn.Module):
    """How a patient relates to the support: through its inputs, and through each start."""

    x: Tensor

    def __init__(self, starts: Sequence[Start], x: Tensor) -> None:
        super().__init__()
        self.register_buffer("x", x)
        self.names = [s.name for s in starts]
        self.views = nn.ModuleList(_StartView(s, x) for s in starts)

    def forward(self, x: Tensor) -> _Seen:
        products, squares = x @ self.x.mT, x.square().sum(1)
        covariances, offsets = (
            {("", "inputs"): (products, squares)},
            {"": torch.zeros_like(squares)},
        )
        for name, view in zip(self.names, self.views, strict=True):
            head, full, offsets[name] = view(x, products, squares)
            covariances |= {(name, "head"): head, (name, "full"): full}
        return _Seen(covariances, offsets)


class _Network(nn.Module):
    """The reference network's logit."""

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    v: Tensor

    def __init__(self, theta: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, p in zip(("w1", "b1", "w2", "b2"), theta.values(), strict=True):
            self.register_buffer(name, p.detach().double())
        self.register_buffer("v", self.w2[1] - self.w2[0])
        self.bias = float(self.b2[1] - self.b2[0])

    def enters(self, x: Tensor) -> Tensor:
        """Return what enters the hidden units, [n, hidden]."""
        return x @ self.w1.mT + self.b1

    def forward(self, x: Tensor) -> Tensor:
        return self.enters(x).relu() @ self.v + self.bias


class _StartView(nn.Module):
    """A start's logit, and covariances of moving its last layer and all layers."""

    hidden: Tensor
    gate: Tensor

    def __init__(self, start: Start, x: Tensor) -> None:
        super().__init__()
        self.network = _Network(theta_of(start.meta))
        hidden, gate = self._units(x)
        self.register_buffer("hidden", hidden)
        self.register_buffer("gate", gate)

    def _units(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return units(self.network.enters(x), self.network.v)

    def forward(
        self, x: Tensor, products: Tensor, squares: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """Return (covariances, variances) by the last layer, by all layers; and the logit.

        products [n, k] and squares [n] are the inner products of the inputs.
        """
        hidden, gate = self._units(x)
        head, head_variance = by_head(hidden @ self.hidden.mT), by_head(hidden.square().sum(1))
        full = by_all(gate @ self.gate.mT, products, head)
        full_variance = by_all(gate.square().sum(1), squares, head_variance)
        logit = hidden @ self.network.v + self.network.bias
        return (head, head_variance), (full, full_variance), logit


def _stepped(start: Start, x: Tensor, y: Tensor, steps: int) -> Mapping[str, Tensor]:
    """Return the parameters after the study's own inner steps on the support."""
    learner = start.learner
    rates = learner.algorithm.rates(start.meta, learner.settings)
    rows = Rows(x.float(), y.long(), torch.ones(len(y)))
    phi = adapt(learner.loss, theta_of(start.meta), rows, rates, steps=steps)
    return {name: p.detach() for name, p in phi.items()}
