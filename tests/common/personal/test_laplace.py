import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from common.personal.laplace import Gram, moderated, posterior
from common.randomness import generator
from tests.common.personal.primal import Problem, make, mode, moderate, ridge, sigmoid, variances


@pytest.mark.parametrize("k", [2, 12, 60])
@pytest.mark.parametrize("variance", [0.1, 3.0])
def test_the_mode_is_scikit_learns_ridge_logistic_regression(k: int, variance: float) -> None:
    problem = make(k=k, variance=variance, spread=0.0)
    # C is the prior variance; the features hold it already, the intercept is one of them.
    sklearn = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    sklearn.fit(problem.phi[0], problem.y[0])
    expected = sklearn.decision_function(problem.other)
    np.testing.assert_allclose(mode(problem, problem.solve())[0], expected, atol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 12, 60])
def test_an_offset_is_added_before_the_fit_and_after_it(k: int) -> None:
    problem = make(k=k, spread=2.0)
    w = ridge(problem.phi[0], problem.offset[0], problem.y[0])
    expected = problem.other_offset + problem.other @ w
    np.testing.assert_allclose(mode(problem, problem.solve())[0], expected, atol=1e-6)


@pytest.mark.parametrize("k", [1, 12, 60])
def test_the_posterior_variance_is_that_of_the_primal_formula(k: int) -> None:
    problem = make(k=k)
    w = ridge(problem.phi[0], problem.offset[0], problem.y[0])
    p = sigmoid(problem.offset[0] + problem.phi[0] @ w)
    expected = variances(problem.phi[0], p, problem.other) / (problem.other**2).sum(1)
    found = problem.solve()
    np.testing.assert_allclose(found.remaining[0], expected, atol=1e-8)
    assert found.remaining.min() > 0
    assert found.remaining.max() <= 1


@pytest.mark.parametrize("k", [12, 60])
def test_left_out_logits_are_close_to_refits_and_move_away_from_the_patients_own_label(
    k: int,
) -> None:
    problem = make(k=k)
    (phi,), (offset,), (y,) = problem.phi, problem.offset, problem.y
    whole = offset + phi @ ridge(phi, offset, y)
    p = sigmoid(whole)
    found = problem.solve().left_out[0].numpy()
    # The cavity of patient i: its own part p(1 - p) is taken out of the precision.
    own = variances(phi, p, phi)
    cavity = 1 / (1 / own - p * (1 - p))
    for i in range(k):
        rest = np.arange(k) != i
        w = ridge(phi[rest], offset[rest], y[rest])
        mean = offset[i] + phi[i] @ w
        spread = variances(phi[rest], sigmoid(offset[rest] + phi[rest] @ w), phi[i : i + 1])
        assert found[i] == pytest.approx(moderate(mean, spread)[0], abs=0.05)
        moved = found[i] * np.sqrt(1 + np.pi / 8 * cavity[i]) - whole[i]
        assert np.sign(moved) == np.sign(mean - whole[i]) == (-1 if y[i] else 1)


def test_left_out_logits_are_those_of_laplaces_own_formula() -> None:
    problem = make(k=12)
    (phi,), (offset,), (y,) = problem.phi, problem.offset, problem.y
    whole = offset + phi @ ridge(phi, offset, y)
    p = sigmoid(whole)
    # Divide the Gaussian N(f, v) by the patient's own factor: precision p(1 - p), shift y - p.
    own, weight = variances(phi, p, phi), p * (1 - p)
    precision = 1 / own - weight
    mean = (whole / own - weight * whole - (y - p)) / precision
    expected = moderate(mean, 1 / precision)
    np.testing.assert_allclose(problem.solve().left_out[0], expected, atol=1e-6)


def test_without_prior_variance_all_logits_are_their_offsets() -> None:
    problem = make(k=5)
    nothing = problem.gram.scaled(torch.zeros(1, dtype=torch.float64))
    offset, other = torch.from_numpy(problem.offset), torch.from_numpy(problem.other_offset)
    found = posterior(nothing, offset, other[None], torch.from_numpy(problem.y))
    torch.testing.assert_close(found.logits, other[None])
    torch.testing.assert_close(found.left_out, offset)


def test_one_patient_and_one_intercept_by_hand() -> None:
    # Prior b ~ N(0, 2), one patient with the diagnosis. The mode solves b = 2 (1 - sigmoid(b)):
    # b = 0.69... is found by bisection. Left out, nothing is known of b: N(0, 2), so logit 0.
    low, high = 0.0, 2.0
    for _ in range(60):
        b = (low + high) / 2
        low, high = (b, high) if 2 * (1 - sigmoid(np.float64(b))) > b else (low, b)
    p = 1 / (1 + math.exp(-b))
    variance = 1 / (1 / 2 + p * (1 - p))
    two = torch.full((1, 1, 1), 2.0, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    found = posterior(Gram(two, two, two[0]), zero, zero, zero + 1)
    assert found.logits.item() == pytest.approx(b / math.sqrt(1 + math.pi / 8 * variance), abs=1e-9)
    assert found.left_out.item() == pytest.approx(0.0, abs=1e-9)
    assert found.remaining.item() == pytest.approx(variance / 2, abs=1e-9)


def test_a_logit_is_drawn_to_one_half_by_its_variance() -> None:
    mean = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    assert torch.equal(moderated(mean, torch.zeros(3)), mean)
    # 1 + pi / 8 * (24 / pi) = 4, whose root is 2.
    halved = moderated(mean, torch.full((3,), 24 / math.pi, dtype=torch.float64))
    torch.testing.assert_close(halved, mean / 2)
    assert moderated(mean, torch.full((3,), 1e12)).abs().max() < 1e-5


def test_the_moderated_probability_is_near_the_mean_over_a_normal_logit() -> None:
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    for mean in (-3.0, -0.5, 1.0):
        for sd in (0.5, 1.0, 2.0):
            exact = (weight * sigmoid(mean + sd * z)).sum() / weight.sum()
            found = moderated(torch.tensor(mean), torch.tensor(sd**2)).sigmoid().item()
            assert found == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("k", [1, 30])
def test_a_support_of_one_class_moves_logits_to_it_and_stays_finite(label: float, k: int) -> None:
    problem = make(k=k, spread=0.0)
    found = problem._replace(y=np.full((1, k), label)).solve()
    assert all(torch.isfinite(part).all() for part in found)
    own = problem._replace(y=np.full((1, k), label), other=problem.phi[0], other_offset=np.zeros(k))
    assert ((own.solve().logits > 0) == bool(label)).all()


def test_strongly_separable_patients_with_a_wide_prior_reach_the_mode() -> None:
    rng = generator("separable")
    x = 5 * rng.normal(size=(1, 40, 3))
    y = (x[..., 0] > 0).astype(float)
    phi, zero = x * 10, np.zeros((1, 40))
    problem = Problem(phi, phi[0], zero, zero[0], y)
    f = mode(problem, problem.solve())
    # At the mode of the dual f = offset + K (y - sigmoid(f)).
    np.testing.assert_allclose(f, (y - sigmoid(f)) @ (phi[0] @ phi[0].T), atol=1e-4)
    assert ((f > 0) == (y == 1)).all()


def test_a_start_that_is_wrong_and_certain_is_overruled() -> None:
    problem = make(k=20)
    wrong = problem._replace(offset=20 * (1 - 2 * problem.y))
    found = wrong._replace(other=problem.phi[0], other_offset=wrong.offset[0])
    w = ridge(wrong.phi[0], wrong.offset[0], wrong.y[0])
    expected = wrong.offset[0] + wrong.phi[0] @ w
    np.testing.assert_allclose(mode(found, found.solve())[0], expected, atol=1e-6)


def test_the_order_of_patients_does_not_matter() -> None:
    problem, order = make(k=12), np.roll(np.arange(12)[::-1], 5)
    turned = problem._replace(
        phi=problem.phi[:, order], offset=problem.offset[:, order], y=problem.y[:, order]
    )
    a, b = problem.solve(), turned.solve()
    torch.testing.assert_close(a.logits, b.logits, atol=1e-9, rtol=0)
    torch.testing.assert_close(a.remaining, b.remaining, atol=1e-9, rtol=0)
    torch.testing.assert_close(a.left_out[:, order], b.left_out, atol=1e-9, rtol=0)


def test_many_supports_at_once_are_each_alone() -> None:
    problem = make(k=9, draws=4)
    together = problem.solve()
    for d in range(4):
        one = slice(d, d + 1)
        alone = problem._replace(
            phi=problem.phi[one], offset=problem.offset[one], y=problem.y[one]
        ).solve()
        for whole, part in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[one], part, atol=1e-8, rtol=0)


def test_single_precision_agrees_with_double() -> None:
    problem = make(k=30)
    double = problem.solve()
    gram = Gram(*(part.float() for part in problem.gram))
    offset, other, y = (
        torch.from_numpy(a).float() for a in (problem.offset, problem.other_offset, problem.y)
    )
    single = posterior(gram, offset, other[None], y.long())
    for a, b in zip(single, double, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, atol=1e-4, rtol=0)


def test_covariances_are_scaled_and_an_intercept_is_added() -> None:
    def parts(value: float) -> Tensor:
        return torch.full((2, 1, 1), value)

    gram = Gram(parts(1.0), parts(2.0), parts(3.0)[..., 0])
    scaled = gram.scaled(torch.tensor([2.0, 10.0]))
    assert [part.flatten().tolist() for part in scaled] == [[2, 10], [4, 20], [6, 30]]
    shifted = scaled.with_intercept(0.5)
    assert [part.flatten().tolist() for part in shifted] == [[2.5, 10.5], [4.5, 20.5], [6.5, 30.5]]


def test_a_covariance_that_is_no_number_raises() -> None:
    problem = make(k=3)
    gram = problem.gram
    gram.own[0, 1, 1] = float("nan")
    zero = torch.zeros(1, 3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="cholesky"):
        posterior(gram, zero, torch.from_numpy(problem.other_offset)[None], zero)
