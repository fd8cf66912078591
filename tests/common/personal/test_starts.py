from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from common.adapted import is_reference
from common.algorithms.meta_sgd import META_SGD
from common.parameters import Params
from common.personal.laplace import Gram
from common.personal.starts import Start, View, full_gram, head_gram, input_gram, relative

MakeStart = Callable[..., Start]


def patients(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, 6, dtype=torch.float64, generator=generator)


def renamed(start: Start) -> Start:
    """The same network under names that make it take the generic path."""
    learner = start.learner

    def logits(params: Params, x: Tensor) -> Tensor:
        return learner.logits({n.removeprefix("net."): p for n, p in params.items()}, x)

    meta = {f"net.{name}": p for name, p in start.meta.items()}
    return replace(start, learner=replace(learner, logits=logits), meta=meta)


def slopes(start: Start, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logit difference of one patient, and its gradients by each parameter, by plain autograd."""
    theta = {n: p.double().requires_grad_() for n, p in start.meta.items()}
    scores = start.learner.logits(theta, x[None])[0]
    logit = scores[1] - scores[0]
    grads = torch.autograd.grad(logit, list(theta.values()))
    head = [g.flatten() for n, g in zip(theta, grads, strict=True) if n.startswith(("2.", "head"))]
    whole = torch.cat([g.flatten() for g in grads])
    return logit.detach(), torch.cat([torch.cat(head), whole])


def expected(start: Start, x: Tensor, head_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [n], gradients by the head [n, head_size] and by all parameters of patients [n]."""
    logits, both = zip(*(slopes(start, row) for row in x), strict=True)
    stacked = torch.stack(both)
    return torch.stack(logits), stacked[:, :head_size], stacked[:, head_size:]


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_the_reference_formulas_are_the_generic_path(make_start: MakeStart) -> None:
    fast, slow = make_start(), renamed(make_start())
    assert is_reference(fast.meta)
    assert not is_reference(slow.meta)
    x, others = patients(3, 4), patients(5)
    a, b = (View(start, x) for start in (fast, slow))
    c, d = (View(start, others) for start in (fast, slow))
    assert a.reference
    assert not b.reference
    assert_close(a.logit, b.logit)
    assert_close(a.head_products(a), b.head_products(b))
    assert_close(a.all_products(a), b.all_products(b))
    assert_close(c.head_products(a), d.head_products(b))
    assert_close(c.all_products(a), d.all_products(b))
    assert_close(a.head_squares(), b.head_squares())
    assert_close(a.all_squares(), b.all_squares())


@pytest.mark.parametrize(("network", "head_size"), [("reference", 18), ("deep", 10)])
def test_products_are_those_of_autograds_gradients_of_the_logit(
    network: str, head_size: int, make_start: MakeStart, deep: Callable[[], nn.Module]
) -> None:
    # The heads: 8 hidden units to 2 outputs, 8 * 2 + 2 = 18; 4 hidden units, 4 * 2 + 2 = 10.
    start = make_start(build=deep if network == "deep" else None)
    x, others = patients(4), patients(5)
    logit, head, whole = expected(start, x, head_size)
    other_logit, other_head, other_whole = expected(start, others, head_size)
    a, b = View(start, x), View(start, others)
    assert_close(a.logit, logit)
    assert_close(b.logit, other_logit)
    assert_close(b.head_products(a), other_head @ head.mT)
    assert_close(b.all_products(a), other_whole @ whole.mT)
    assert_close(a.head_squares(), head.square().sum(1))
    assert_close(a.all_squares(), whole.square().sum(1))


def test_a_small_step_moves_the_logit_by_the_product_of_gradients(make_start: MakeStart) -> None:
    # theta + e g(x) moves the logit of x' by e g(x) . g(x') + O(e^2).
    start, x, other = make_start(), patients(1)[0], patients(2)[1]
    theta = {n: p.double().requires_grad_() for n, p in start.meta.items()}
    scores = start.learner.logits(theta, x[None])[0]
    grads = torch.autograd.grad(scores[1] - scores[0], list(theta.values()))
    moved = {n: (p + 1e-6 * g).detach() for (n, p), g in zip(theta.items(), grads, strict=True)}
    before, after = (View(replace(start, meta=m), other[None]).logit for m in (theta, moved))
    product = View(start, other[None]).all_products(View(start, x[None]))[0]
    torch.testing.assert_close((after - before).detach() / 1e-6, product, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("gram", [head_gram, full_gram])
def test_a_gram_holds_the_products_of_each_support_and_of_the_others(
    gram: Callable[[View, View], Gram], make_start: MakeStart
) -> None:
    start, x, others = make_start(), patients(2, 3), patients(5)
    own, cross, variance = gram(View(start, x), View(start, others))
    assert own.shape == (2, 3, 3)
    assert cross.shape == (2, 5, 3)
    assert variance.shape == (2, 5)
    both = torch.cat([x[1], others])
    whole = gram(View(start, both[None]), View(start, both)).own[0]
    assert_close(own[1], whole[:3, :3])
    assert_close(cross[1], whole[3:, :3])
    assert_close(variance[1], whole.diagonal()[3:])


def test_the_gram_of_inputs_is_their_inner_products() -> None:
    # (1, 2) with itself: 5; with (3, 0): 3; with (0, 4): 8.
    x, others = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    own, cross, variance = input_gram(x, others)
    assert own.tolist() == [[[5.0]]]
    assert cross.tolist() == [[[3.0], [8.0]]]
    assert variance.tolist() == [[9.0, 16.0]]


def test_relative_covariances_have_a_support_variance_of_one_on_average() -> None:
    x = patients(3, 4) * torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64)[:, None, None]
    gram = input_gram(x, patients(5))
    scaled = relative(gram)
    mean = scaled.own.diagonal(dim1=1, dim2=2).mean(1)
    assert_close(mean, torch.ones(3, dtype=torch.float64))
    factor = scaled.own[:, 0, 0] / gram.own[:, 0, 0]
    assert_close(scaled.cross, gram.cross * factor[:, None, None])
    assert_close(scaled.variance, gram.variance * factor[:, None])


def test_relative_covariances_of_patients_without_any_value_stay_finite() -> None:
    gram = relative(input_gram(torch.zeros(1, 2, 6), patients(3).float()))
    assert all(torch.isfinite(part).all() for part in gram)


def test_learned_rates_are_no_part_of_the_view(make_start: MakeStart) -> None:
    start = make_start()
    rated = replace(start, meta=META_SGD.initial(start.meta, start.learner.settings))
    x = patients(2, 4)
    a, b = View(start, x), View(rated, x)
    assert torch.equal(a.logit, b.logit)
    assert_close(a.all_products(a), b.all_products(b))


@pytest.mark.parametrize(
    ("trained_for", "task", "fits"),
    [("", "gout", True), ("gout", "gout", True), ("anaemia", "gout", False)],
)
def test_a_start_of_one_diagnosis_fits_that_alone(
    trained_for: str, task: str, fits: bool, make_start: MakeStart
) -> None:
    assert make_start(task=trained_for).fits(task) == fits
