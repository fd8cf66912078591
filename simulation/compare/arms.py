"""The arms of a comparison: each turns supports into predictions, under one of its settings.

    prevalence        (positives + 1) / (k + 2)
    local-logistic    L2 logistic regression on the support, strength by its own cross-validation
    local-network     the model from random parameters
    local-trees       boosted trees on the support, from TREES patients on, else local-logistic
    pooled-logistic, pooled-trees   one model of all training patients: no federation has them
    fedavg, fedprox   the shared model as it is
    ...-finetune      the same after gradient steps on the support
    ditto             FedAvg's model as the centre of a personal one (Li et al., ICML 2021)
    maml              the algorithm's own inner loop
    ...-task          the same, trained for the diagnosis alone
    gate candidates   such as maml/full: one family of the gate's, all its strengths
    gated             the gate

Every arm that adapts has 20 settings; validation tasks choose, per k.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingClassifier
from torch import Tensor
from torch.func import grad, vmap

from common.algorithms.base import theta_of
from common.parameters import Params
from common.personal.candidates import Panel
from common.personal.logistic import local_logistic
from common.personal.starts import Start, View
from common.personal.tunable import NETWORK_SCALES, NETWORK_STEPS, Floats, Tunable
from simulation.compare.cast import BASELINES, OWN, Cast

Setting = tuple[float, ...]
Made = Mapping[Setting, Floats]
"""Setting to probabilities [D, n]."""
NONE: Setting = ()
TREES = 50
TREE_GRID = tuple((float(n), float(d)) for n in (5, 10, 20, 40, 80) for d in (1, 2, 3, 4))
DITTO_GRID = tuple(product((0.3, 1.0, 3.0, 10.0), (0.01, 0.1, 0.3, 1.0, 3.0)))
DITTO_STEPS = 20
TREE_DRAWS = 2
"""Boosted trees, by far the dearest arm, are tuned on so many draws of a validation task."""
POOLED = ("pooled-logistic", "pooled-trees")


class Query(NamedTuple):
    """Supports x [D, k, inputs], y [D, k] of a diagnosis, and the patients to predict."""

    task: str
    x: Tensor
    y: Tensor
    others: Tensor


Arm = Callable[[Query, tuple[Setting, ...]], Made]
"""Predictions under the wanted settings, or under all of its own if none is wanted."""


def arms_of(cast: Cast, *, own: bool) -> dict[str, Arm]:
    """Return the arms of what was trained; `own`: also those trained for a diagnosis alone."""
    arms: dict[str, Arm] = {
        "prevalence": fixed(_prevalence),
        "local-logistic": fixed(_logistic),
        "local-network": _adapting(_starts(cast, "fedavg", ""), trained=False),
        "local-trees": _trees,
    }
    arms |= {f"pooled-{kind}": _pooled(cast, kind) for kind in ("logistic", "trees")}
    for end in ("", OWN) if own else ("",):
        arms |= _federated(cast, end)
    return arms


def _federated(cast: Cast, end: str) -> dict[str, Arm]:
    found: dict[str, Arm] = {}
    for algorithm in dict.fromkeys([*BASELINES, cast.main]):
        start = _starts(cast, algorithm, end)
        name = algorithm + end
        if algorithm in BASELINES:
            found[name] = _unadapted(start)
            name += "-finetune"
        found[name] = _adapting(start)
    return found | {"ditto" + end: _ditto(_starts(cast, "fedavg", end))}


def _starts(cast: Cast, algorithm: str, end: str) -> Callable[[str], Start]:
    return lambda task: cast.start(algorithm, task if end else "")


def candidate_arms(panel: Panel) -> dict[str, dict[Setting, Floats]]:
    """Return the gate's candidates as arms: a family with its strengths as settings."""
    found: dict[str, dict[Setting, Floats]] = {}
    for candidate, logits in zip(panel.candidates, panel.logits, strict=True):
        family = candidate._replace(strength=0.0).name
        own = found.setdefault("candidate:" + family, {})
        own[(candidate.strength,)] = logits.sigmoid().double().numpy()
    return found


def fixed(predict: Callable[[Query], Floats]) -> Arm:
    """Return an arm without settings."""
    return lambda query, wanted: {NONE: predict(query)}


def _same(p: Floats, query: Query) -> Floats:
    return np.repeat(p[None], len(query.x), axis=0)


def _prevalence(query: Query) -> Floats:
    p = (query.y.sum(1) + 1) / (query.y.shape[1] + 2)
    return np.repeat(p.double().numpy()[:, None], len(query.others), axis=1)


def _logistic(query: Query) -> Floats:
    if not query.y.shape[1]:
        return _prevalence(query)
    return local_logistic(query.x, query.y, query.others)


def _zero(start: Start, query: Query) -> Floats:
    return _same(View(start, query.others).logit.double().sigmoid().detach().numpy(), query)


def _unadapted(of: Callable[[str], Start]) -> Arm:
    return fixed(lambda query: _zero(of(query.task), query))


def _pooled(cast: Cast, kind: str) -> Arm:
    return fixed(lambda q: _same(cast.pooled_probability(kind, q.task, q.others), q))


def _adapting(of: Callable[[str], Start], *, trained: bool = True) -> Arm:
    def arm(query: Query, wanted: tuple[Setting, ...]) -> Made:
        start = of(query.task)
        tunable = Tunable(start.learner, start.meta)
        if not trained:
            tunable = Tunable(start.learner, start.learner.initial, NETWORK_SCALES, NETWORK_STEPS)
        if not query.y.shape[1]:
            half = np.full((len(query.x), len(query.others)), 0.5)
            return {NONE: tunable.zero_shot(len(query.x), query.others) if trained else half}
        if wanted:
            chosen = [(scale, int(steps)) for scale, steps in wanted]
            return {
                s: tunable.predict(query.x, query.y, query.others, c)
                for s, c in zip(wanted, chosen, strict=True)
            }
        made = tunable.path(query.x, query.y, query.others)
        return {(scale, float(steps)): p for (scale, steps), p in made.items()}

    return arm


def _trees(query: Query, wanted: tuple[Setting, ...]) -> Made:
    if query.y.shape[1] < TREES:
        return {NONE: _logistic(query)}
    depths = sorted({depth for _, depth in wanted or TREE_GRID})
    made: dict[Setting, list[Floats]] = {}
    draws = len(query.x) if wanted else TREE_DRAWS
    for x, y in zip(query.x[:draws].numpy(), query.y[:draws].numpy(), strict=True):
        for depth in depths:
            for trees, p in _boosted(x, y, query.others.numpy(), int(depth)).items():
                made.setdefault((trees, depth), []).append(p)
    return {s: np.stack(p) for s, p in made.items() if not wanted or s in wanted}


def _boosted(x: Any, y: Any, others: Any, depth: int) -> dict[float, Floats]:
    """Return P(y = 1) [n] after each number of trees."""
    numbers = sorted({trees for trees, _ in TREE_GRID})
    if len(np.unique(y)) < 2:
        return dict.fromkeys(numbers, np.full(len(others), (y.sum() + 1) / (len(y) + 2)))
    model = GradientBoostingClassifier(
        n_estimators=int(max(numbers)), max_depth=depth, random_state=0
    ).fit(x, y)
    stages = enumerate(model.staged_predict_proba(others), start=1)
    return {float(trees): p[:, 1] for trees, p in stages if trees in numbers}


def _ditto(of: Callable[[str], Start]) -> Arm:
    """Return Ditto: v <- v - rate (grad L(v) + pull (v - theta)), v from theta, on the support."""

    def arm(query: Query, wanted: tuple[Setting, ...]) -> Made:
        start, draws = of(query.task), len(query.x)
        if not query.y.shape[1]:
            return {NONE: _zero(start, query)}
        grid = wanted or DITTO_GRID
        theta, learner = theta_of(start.meta), start.learner
        weight = torch.ones(query.y.shape[1])
        rates = learner.settings.inner_lr * torch.tensor([s for s, _ in grid])
        pulls = torch.tensor([pull for _, pull in grid])
        # A pull is applied to the end of the step, so that no rate makes it overshoot.
        keep = 1 / (1 + rates * pulls)

        def step(v: Params, rate: Tensor, keep: Tensor, x: Tensor, y: Tensor) -> Params:
            g = grad(learner.loss)(v, x, y, weight)
            return {n: keep * (p - rate * g[n]) + (1 - keep) * theta[n] for n, p in v.items()}

        many = [t.repeat_interleave(draws) for t in (rates, keep)]
        x, y = query.x.repeat(len(grid), 1, 1), query.y.repeat(len(grid), 1)
        v = {n: p.expand(len(x), *p.shape) for n, p in theta.items()}
        for _ in range(DITTO_STEPS):
            v = vmap(step)(v, many[0], many[1], x, y)
        p = vmap(lambda params: learner.logits(params, query.others).softmax(-1)[..., 1])(v)
        every = p.view(len(grid), draws, -1).double().numpy()
        return {tuple(setting): own for setting, own in zip(grid, every, strict=True)}

    return arm
