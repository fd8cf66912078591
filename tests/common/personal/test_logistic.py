import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from common.personal.logistic import (
    FOLDS,
    STRENGTHS,
    choose_strengths,
    fit,
    folds,
    local_logistic,
    newton,
    objective,
)
from common.randomness import generator


def supports(draws: int, k: int, inputs: int) -> tuple[Tensor, Tensor]:
    rng = generator("logistic", draws, k, inputs)
    x = rng.standard_normal((draws, k, inputs))
    y = (x[..., 0] + rng.standard_normal((draws, k)) > 0).astype(np.int64)
    y[:, :4] = [0, 1, 0, 1]
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("k", [8, 40])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_coefficients_are_scikit_learns(k: int, strength: float) -> None:
    x, y = supports(3, k, 10)
    w = fit(x, y.double(), torch.ones(3, k).double(), torch.full((3,), strength).double())
    for i in range(3):
        peer = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        peer.fit(x[i].numpy(), y[i].numpy())
        expected = [*peer.coef_[0], *peer.intercept_]
        assert w[i].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("strength", [0.001, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(30))
def test_the_minimum_is_found_from_anywhere_and_has_no_slope(strength: float, seed: int) -> None:
    # Features of unlike scales, labels that a plane separates, a start that is not zero: without
    # halving, Newton's steps swing to and fro for ever in a tenth of these cases.
    rng = generator("anywhere", seed)
    x = rng.standard_normal((16, 21)) * np.exp(rng.standard_normal(21))
    x[:, -1] = 1
    y = (x[:, 0] > 0).astype(float)
    w, slope, ones = rng.standard_normal(21), np.empty(21), np.ones(16)
    newton(x, y, ones, strength, w)
    objective(x, y, ones, strength, w, slope, np.empty(16))
    assert np.abs(slope).max() < 1e-4


def test_the_chosen_strength_is_the_best_of_fits_that_start_at_zero() -> None:
    x, y = supports(12, 20, 6)
    losses = np.zeros((12, len(STRENGTHS)))
    for c, strength in enumerate(STRENGTHS):
        for f in range(FOLDS):
            held = (folds(y) == f).double()
            w = fit(x, y.double(), 1 - held, torch.full((12,), strength).double())
            score = (x @ w[:, :-1, None])[..., 0] + w[:, -1:]
            loss = torch.nn.functional.softplus((1 - 2 * y) * score)
            losses[:, c] += (loss * held).sum(1).numpy()
    best = [STRENGTHS[c] for c in losses.argmin(1)]
    assert len(set(best)) > 1
    assert choose_strengths(x, y).tolist() == best


def test_rows_of_weight_zero_have_no_part() -> None:
    x, y = supports(2, 12, 3)
    weight = torch.ones(2, 12).double()
    weight[:, 8:] = 0
    strength = torch.ones(2).double()
    part = fit(x[:, :8], y[:, :8].double(), weight[:, :8], strength)
    torch.testing.assert_close(fit(x, y.double(), weight, strength), part, atol=1e-8, rtol=0)


def test_more_inputs_than_patients_lose_nothing_by_the_rotation() -> None:
    x, y = supports(2, 8, 30)
    test_x = torch.from_numpy(generator("test").standard_normal((5, 30)))
    found = local_logistic(x, y, test_x)
    for i, strength in enumerate(choose_strengths(x, y.double()).tolist()):
        peer = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=1000)
        expected = peer.fit(x[i].numpy(), y[i].numpy()).predict_proba(test_x.numpy())[:, 1]
        assert found[i].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_one_class_teaches_the_smoothed_prevalence_only() -> None:
    x, _ = supports(2, 6, 3)
    y = torch.stack([torch.zeros(6), torch.ones(6)]).long()
    # (0 + 1) / (6 + 2) and (6 + 1) / (6 + 2)
    assert local_logistic(x, y, x[0])[:, 0].tolist() == [1 / 8, 7 / 8]


def test_folds_deal_each_class_out_in_turn() -> None:
    y = torch.tensor([[0, 1, 0, 0, 1, 0, 0, 0]])
    assert folds(y).tolist() == [[0, 0, 1, 2, 1, 3, 4, 5 % FOLDS]]


def test_a_useful_signal_earns_a_weaker_penalty_than_pure_noise() -> None:
    rng = generator("strength")
    x = torch.from_numpy(rng.standard_normal((20, 40, 5)))
    clear = (x[..., 0] > 0).double()
    noise = torch.from_numpy((rng.random((20, 40)) < 0.5).astype(float))
    assert choose_strengths(x, clear).log().mean() > choose_strengths(x, noise).log().mean() + 2
