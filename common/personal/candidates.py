"""Candidates: the ways from a start, or from none, and k labelled patients to predictions.

    zero       theta as it is
    intercept  theta, and an intercept
    head       the last layer moves from theta
    full       all layers move from theta, to first order (common/personal/starts.py)
    inputs     theta, and a linear function of the inputs
    steps      the algorithm's own inner loop: K or 3 K steps
    local      no start: logistic regression on the k patients
    prevalence no start, and nothing but the prevalence of the k patients

intercept, head, full, inputs and local are fitted under a Gaussian prior of several strengths, the
prior variance of a logit (of a coefficient for inputs and local); each has an intercept of its own,
so none can fail on a support of one class. Every one says also what it predicts for each support
patient from the others.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.personal.laplace import Gram, Posterior, posterior
from common.personal.starts import Start, View, full_gram, head_gram, input_gram, relative
from common.personal.tunable import Tunable

HEAD, FULL, INPUTS, LOCAL = (3.0,), (1.0, 4.0, 16.0), (0.1, 0.3), (0.03, 0.1, 0.3, 1.0)
INTERCEPTS = (0.1, 1.0)
MULTIPLES = (1, 3)
"""`steps` takes so many times the study's own inner steps."""
INTERCEPT, FREE_INTERCEPT = 1.0, 4.0
"""Prior variance of an intercept beside a start, and of one that stands alone."""
FOLDS = 10
"""`steps` alone is fitted anew for its left-out predictions, at most so often."""
_CERTAIN = 1e-6


class Candidate(NamedTuple):
    """A way to predict: from the start of this name ("" is none), how, and how strongly."""

    start: str
    family: str
    strength: float = 0.0

    @property
    def name(self) -> str:
        """Name in results and documents, such as `maml/full/4`."""
        parts = (self.start, self.family, f"{self.strength:g}" if self.strength else "")
        return "/".join(part for part in parts if part)


class Panel(NamedTuple):
    """What all candidates predict, as logits.

    logits [C, D, n] of n patients; left_out [C, D, k] of each support patient from the others.
    unlikeness [D, n]: how little the support says about a patient, 0 to 1; 1 where k = 0.
    """

    candidates: tuple[Candidate, ...]
    logits: Tensor
    left_out: Tensor
    unlikeness: Tensor


def candidates_of(starts: Sequence[Start]) -> list[Candidate]:
    """Return the candidates of a panel with k > 0, in its order, without fitting any."""
    found = [Candidate("", "prevalence"), *(Candidate("", "local", v) for v in LOCAL)]
    for start in starts:
        steps = [float(number) for number in _numbers_of_steps(start)]
        families: dict[str, Sequence[float]] = {"zero": (0.0,), "intercept": INTERCEPTS}
        families |= {"head": HEAD, "full": FULL, "inputs": INPUTS, "steps": steps}
        found += [Candidate(start.name, name, s) for name, ss in families.items() for s in ss]
    return found


def panel(starts: Sequence[Start], x: Tensor, y: Tensor, others: Tensor) -> Panel:
    """Return all candidates' predictions for `others` [n, inputs] from D supports.

    x [D, k, inputs], y [D, k] of 0 and 1; k may be 0.
    """
    if not x.shape[1]:
        return _unlabelled(starts, len(x), others)
    found = [*_without_start(x, y, others)]
    for start in starts:
        found += _from_start(start, x, y, others)
    candidates, fits = zip(*found, strict=True)
    return Panel(
        candidates,
        torch.stack([fit.logits for fit in fits]).float(),
        torch.stack([fit.left_out for fit in fits]).float(),
        _unlikeness(found),
    )


def _unlabelled(starts: Sequence[Start], draws: int, others: Tensor) -> Panel:
    pairs = [(Candidate("", "prevalence"), torch.zeros(len(others)))]
    pairs += [(Candidate(s.name, "zero"), View(s, others).logit) for s in starts]
    candidates, logits = zip(*pairs, strict=True)
    stacked = torch.stack(logits)[:, None].expand(-1, draws, -1).float()
    nothing = torch.zeros(len(pairs), draws, 0)
    return Panel(candidates, stacked, nothing, torch.ones(draws, len(others)))


_Found = tuple[Candidate, Posterior]


def _without_start(x: Tensor, y: Tensor, others: Tensor) -> Iterator[_Found]:
    gram = input_gram(x, others)
    offset, other = torch.zeros_like(x[..., 0]), torch.zeros_like(others[:, 0])
    for variance in (0.0, *LOCAL):
        scaled = gram.scaled(torch.full_like(x[:, 0, 0], variance)).with_intercept(FREE_INTERCEPT)
        candidate = Candidate("", "local", variance) if variance else Candidate("", "prevalence")
        yield candidate, posterior(scaled, offset, other, y)


def _from_start(start: Start, x: Tensor, y: Tensor, others: Tensor) -> Iterator[_Found]:
    support, other = View(start, x), View(start, others)

    def fitted(gram: Gram, strength: float, intercept: float = INTERCEPT) -> Posterior:
        scaled = gram.scaled(torch.full_like(x[:, 0, 0], strength)).with_intercept(intercept)
        return posterior(scaled, support.logit, other.logit, y)

    yield (
        Candidate(start.name, "zero"),
        Posterior(other.logit.expand(len(x), -1), support.logit, torch.ones(len(x), len(others))),
    )
    inputs = input_gram(x, others)
    for variance in INTERCEPTS:
        yield Candidate(start.name, "intercept", variance), fitted(inputs, 0.0, variance)
    for family, gram, strengths in (
        ("head", relative(head_gram(support, other)), HEAD),
        ("full", relative(full_gram(support, other)), FULL),
        ("inputs", inputs, INPUTS),
    ):
        for strength in strengths:
            yield Candidate(start.name, family, strength), fitted(gram, strength)
    yield from _by_steps(start, support.logit, x, y, others)


def _numbers_of_steps(start: Start) -> list[int]:
    own = max(start.learner.settings.inner_steps, 1)
    return [own * multiple for multiple in MULTIPLES]


def _by_steps(start: Start, zero: Tensor, x: Tensor, y: Tensor, others: Tensor) -> Iterator[_Found]:
    numbers = _numbers_of_steps(start)
    tunable = Tunable(start.learner, start.meta, scales=(1.0,), steps=tuple(numbers))
    # Compiled code takes these types and no others.
    x, y, others = x.float(), y.long(), others.float()
    made, left_out = tunable.path(x, y, others), _steps_left_out(tunable, zero, x, y)
    for number in numbers:
        logits = _logits(made[1.0, number])
        yield (
            Candidate(start.name, "steps", number),
            Posterior(logits, left_out[number], torch.ones_like(logits)),
        )


def _steps_left_out(tunable: Tunable, zero: Tensor, x: Tensor, y: Tensor) -> dict[int, Tensor]:
    """Return each support patient's logit [D, k] after steps on the other folds' patients.

    zero [D, k]: without a step, which is what there is for the only patient of a support.
    """
    draws, k = y.shape
    found = {steps: zero.float().clone() for steps in tunable.steps}
    fold = torch.arange(k) % min(k, FOLDS)
    for number in range(min(k, FOLDS) if k > 1 else 0):
        held, rest = torch.where(fold == number)[0], torch.where(fold != number)[0]
        made = tunable.path(x[:, rest], y[:, rest], x[:, held].flatten(0, 1))
        place = torch.arange(draws)
        for steps, logits in found.items():
            # Every draw predicts all draws' patients; its own are those that count.
            every = _logits(made[1.0, steps]).view(draws, draws, len(held))
            logits[:, held] = every[place, place]
    return found


def _logits(p: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(p).clamp(_CERTAIN, 1 - _CERTAIN).logit().float()


def _unlikeness(found: Sequence[_Found]) -> Tensor:
    """Return what is left of the prior variance of linear functions of the inputs, [D, n]."""
    remaining = {candidate: fit.remaining for candidate, fit in found}
    return remaining[Candidate("", "local", LOCAL[-1])].float()
