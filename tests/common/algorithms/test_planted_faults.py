"""Faults found in published code, planted here: the suite's own assertion must fail on each.

All at inner rate .1 and K = 5: at .01 and K = 1 a cut graph has a cosine of .9999 to the right
answer, and a suite that compares only directions is blind to it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad

from common.adaptation import adapt, constant_rates
from common.algorithms.anil import ANIL
from common.algorithms.base import RATE, Algorithm, InnerSettings, theta_of, update
from common.algorithms.maml import FOMAML, MAML
from common.algorithms.meta_sgd import META_SGD
from common.algorithms.multi_step import MULTI_STEP, step_weights
from common.episodes import Episode, Rows
from common.models import Loss
from common.parameters import Params
from tests.common.algorithms.gradients import assert_is_gradient, plain_query_loss

Build = Callable[..., Any]
Suite = Callable[[Algorithm], None]

SETTINGS = InnerSettings(inner_lr=0.1, inner_steps=5, progress=0.5)
REJECTED = "relative error"


@pytest.fixture(params=[nn.Tanh, nn.ReLU], ids=["tanh", "relu"])
def suite(
    request: pytest.FixtureRequest,
    make_problem: Build,
) -> Suite:
    """The finite-difference test of the algorithm with that name, as in its own test module."""
    p = make_problem(request.param)

    def check(algorithm: Algorithm) -> None:
        meta = algorithm.initial(p.theta, SETTINGS)

        def objective(at: Params) -> float:
            rates: dict[str, Any] = dict.fromkeys(p.theta, SETTINGS.inner_lr)
            v = None
            if algorithm.name == "anil":
                rates = {"2.weight": SETTINGS.inner_lr, "2.bias": SETTINGS.inner_lr}
            if algorithm.name == "meta-sgd":
                rates = {name: at[RATE + name] for name in p.theta}
            if algorithm.name == "multi-step":
                v = step_weights(SETTINGS.inner_steps, SETTINGS.progress)
            theta, steps = theta_of(at), SETTINGS.inner_steps
            return plain_query_loss(p.loss, theta, p.episodes, rates, steps, v).item()

        assert_is_gradient(update(algorithm, p.loss, meta, p.episodes, SETTINGS), objective, meta)

    return check


SECOND_ORDER = pytest.mark.parametrize(
    "algorithm", [MAML, ANIL, META_SGD, MULTI_STEP], ids=lambda a: a.name
)


@SECOND_ORDER
def test_without_a_fault_the_suite_is_content(suite: Suite, algorithm: Algorithm) -> None:
    suite(algorithm)


def cut_step(
    loss: Loss, phi: Params, rows: Rows, rates: Mapping[str, Tensor], *, second_order: bool
) -> Params:
    """What `param.data = param.data - lr * grad` amounts to: the value moves, the graph does not.

    The derivative of phi_{j+1} with respect to phi_j is the identity, although `second_order`.
    """
    gradient = grad(loss)(phi, *rows)
    return {name: p + (-rates[name] * gradient[name]).detach() for name, p in phi.items()}


@SECOND_ORDER
def test_an_inner_step_that_cuts_the_graph_is_rejected(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm
) -> None:
    monkeypatch.setattr("common.adaptation.inner_step", cut_step)
    monkeypatch.setattr("common.algorithms.multi_step.inner_step", cut_step)
    with pytest.raises(AssertionError, match=REJECTED):
        suite(algorithm)


def data_assignment_step(
    loss: Loss, phi: Params, rows: Rows, rates: Mapping[str, Tensor], *, second_order: bool
) -> Params:
    gradient = grad(loss)(phi, *rows)
    stepped = {name: p.clone() for name, p in phi.items()}
    for name, p in stepped.items():
        p.data = p.data - rates[name] * gradient[name]
    return stepped


def test_torch_refuses_an_assignment_to_data_inside_our_inner_loop(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.adaptation.inner_step", data_assignment_step)
    with pytest.raises(RuntimeError, match=r"mutating directly with `\.data`"):
        suite(MAML)


def maml_as_published_with_data_assignment(
    loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings
) -> Params:
    """A MAML of the kind found: create_graph is paid for, then `.data` throws the graph away."""
    theta = {name: p.clone().requires_grad_() for name, p in meta.items()}
    total = torch.zeros((), dtype=torch.float64)
    count = episodes.support.weight.shape[0]
    for e in range(count):
        support, query = (Rows(*(part[e] for part in side)) for side in episodes)
        phi = {name: p.clone() for name, p in theta.items()}
        for _ in range(settings.inner_steps):
            gradients = torch.autograd.grad(
                loss(phi, *support), list(phi.values()), create_graph=True
            )
            for p, g in zip(phi.values(), gradients, strict=True):
                p.data = p.data - settings.inner_lr * g
        total = total + loss(phi, *query) / count
    return dict(zip(theta, torch.autograd.grad(total, list(theta.values())), strict=True))


def test_a_published_maml_with_data_assignment_is_rejected_and_is_first_order(
    suite: Suite, make_problem: Build
) -> None:
    published = dataclasses.replace(
        MAML, episode_update=None, site_update=maml_as_published_with_data_assignment
    )
    with pytest.raises(AssertionError, match=REJECTED):
        suite(published)
    p = make_problem()
    theirs, first_order = (
        update(a, p.loss, p.theta, p.episodes, SETTINGS) for a in (published, FOMAML)
    )
    torch.testing.assert_close(theirs, first_order, rtol=0, atol=1e-12)


def test_first_order_under_the_name_of_maml_is_rejected(suite: Suite) -> None:
    with pytest.raises(AssertionError, match=REJECTED):
        suite(dataclasses.replace(MAML, episode_update=FOMAML.episode_update))


@SECOND_ORDER
def test_a_detached_inner_gradient_is_rejected(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm
) -> None:
    from common.adaptation import inner_step

    def detached(*arguments: Any, second_order: bool) -> Params:
        return inner_step(*arguments, second_order=False)

    monkeypatch.setattr("common.adaptation.inner_step", detached)
    monkeypatch.setattr("common.algorithms.multi_step.inner_step", detached)
    with pytest.raises(AssertionError, match=REJECTED):
        suite(algorithm)


@SECOND_ORDER
@pytest.mark.parametrize("fault", ["query for support", "support for query"])
def test_adaptation_and_evaluation_on_the_same_patients_is_rejected(
    suite: Suite, algorithm: Algorithm, fault: str
) -> None:
    def same_patients(
        loss: Loss, meta: Params, episode: Episode, settings: InnerSettings
    ) -> Params:
        assert algorithm.episode_update is not None
        rows = episode.query if fault == "query for support" else episode.support
        return algorithm.episode_update(loss, meta, Episode(rows, rows), settings)

    with pytest.raises(AssertionError, match=REJECTED):
        suite(dataclasses.replace(algorithm, episode_update=same_patients))


def test_the_gradient_of_theta_as_that_of_the_rates_is_rejected(suite: Suite) -> None:
    def theta_for_rates(
        loss: Loss, meta: Params, episode: Episode, settings: InnerSettings
    ) -> Params:
        assert META_SGD.episode_update is not None
        gradient = theta_of(META_SGD.episode_update(loss, meta, episode, settings))
        return gradient | {RATE + name: g for name, g in gradient.items()}

    with pytest.raises(AssertionError, match=r"rate/.*relative error"):
        suite(dataclasses.replace(META_SGD, episode_update=theta_for_rates))


def test_one_inner_step_too_few_is_rejected(suite: Suite) -> None:
    def impatient(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Params:
        assert MAML.episode_update is not None
        shorter = dataclasses.replace(settings, inner_steps=settings.inner_steps - 1)
        return MAML.episode_update(loss, meta, episode, shorter)

    with pytest.raises(AssertionError, match=REJECTED):
        suite(dataclasses.replace(MAML, episode_update=impatient))


def test_a_sum_over_episodes_for_the_mean_is_rejected(suite: Suite) -> None:
    def added_up(loss: Loss, meta: Params, episodes: Episode, settings: InnerSettings) -> Params:
        mean = update(MAML, loss, meta, episodes, settings)
        return {name: u * episodes.support.weight.shape[0] for name, u in mean.items()}

    with pytest.raises(AssertionError, match=REJECTED):
        suite(dataclasses.replace(MAML, episode_update=None, site_update=added_up))


@SECOND_ORDER
def test_padding_that_counts_is_rejected(suite: Suite, algorithm: Algorithm) -> None:
    def unweighted(loss: Loss, meta: Params, episode: Episode, settings: InnerSettings) -> Params:
        assert algorithm.episode_update is not None
        every = Episode(*(side._replace(weight=torch.ones_like(side.weight)) for side in episode))
        return algorithm.episode_update(loss, meta, every, settings)

    with pytest.raises(AssertionError, match=REJECTED):
        suite(dataclasses.replace(algorithm, episode_update=unweighted))


def test_adaptation_in_use_ignores_second_order(make_problem: Build) -> None:
    """The value of phi is the same with and without the graph: only derivatives differ."""
    p = make_problem()
    support = Rows(*(part[0] for part in p.episodes.support))
    rates = constant_rates(p.theta, 0.1)
    one, other = (
        adapt(p.loss, p.theta, support, rates, steps=5, second_order=flag) for flag in (True, False)
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)
