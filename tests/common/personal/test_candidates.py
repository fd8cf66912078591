from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.adaptation import adapt, constant_rates
from common.episodes import Rows
from common.personal.candidates import (
    FOLDS,
    MULTIPLES,
    Candidate,
    Panel,
    candidates_of,
    panel,
)
from common.personal.laplace import Gram, posterior
from common.personal.starts import Start
from common.randomness import generator

MakeStart = Callable[..., Start]


def patients(k: int, *, draws: int = 2, n: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Supports x [D, k, 6] and their labels, with both classes where k > 1; others [n, 6]."""
    rng = generator("candidates", k)
    x, others = rng.normal(size=(draws, k, 6)), rng.normal(size=(n, 6))
    y = (x[..., 0] + rng.normal(size=(draws, k)) > 0).astype(np.int64)
    if k > 1:
        y[:, :2] = [0, 1]
    return torch.from_numpy(x).float(), torch.from_numpy(y), torch.from_numpy(others).float()


def of(found: Panel, name: str) -> tuple[Tensor, Tensor]:
    """Logits [D, n] and left-out logits [D, k] of the candidate of this name."""
    place = [c.name for c in found.candidates].index(name)
    return found.logits[place], found.left_out[place]


@pytest.fixture
def starts(make_start: MakeStart, deep: Callable[[], nn.Module]) -> list[Start]:
    """The reference network, and one of another shape."""
    return [make_start("maml"), make_start("deep", seed=1, build=deep)]


def test_every_candidate_has_a_name_of_its_own(starts: list[Start]) -> None:
    names = [c.name for c in panel(starts, *patients(3)).candidates]
    assert len(set(names)) == len(names)
    assert {"prevalence", "local/0.1", "maml/intercept/1", "deep/full/16", "deep/steps/2"} <= {
        *names
    }


def test_candidates_are_known_without_fitting_one(starts: list[Start]) -> None:
    assert tuple(candidates_of(starts)) == panel(starts, *patients(3)).candidates


def test_a_name_leaves_out_what_is_not_there() -> None:
    assert Candidate("maml", "full", 4.0).name == "maml/full/4"
    assert Candidate("maml", "zero").name == "maml/zero"
    assert Candidate("", "local", 0.03).name == "local/0.03"
    assert Candidate("", "prevalence").name == "prevalence"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_patients_there_are_the_starts_as_they_are_and_an_even_prevalence(
    dtype: torch.dtype, starts: list[Start]
) -> None:
    x, y, others = patients(0, draws=3)
    found = panel(starts, x.to(dtype), y, others.to(dtype))
    assert [c.name for c in found.candidates] == ["prevalence", "maml/zero", "deep/zero"]
    assert found.logits.shape == (3, 3, 5)
    assert found.left_out.shape == (3, 3, 0)
    assert of(found, "prevalence")[0].abs().max() == 0
    for start in starts:
        scores = start.learner.logits(start.meta, others)
        for draw in of(found, f"{start.name}/zero")[0]:
            torch.testing.assert_close(draw, scores[:, 1] - scores[:, 0])
    assert torch.equal(found.unlikeness, torch.ones(3, 5))


@pytest.mark.parametrize("k", [1, 4, 12])
@pytest.mark.parametrize("label", [0, 1])
def test_logits_are_finite_for_a_support_of_one_class(
    k: int, label: int, starts: list[Start]
) -> None:
    x, y, others = patients(k)
    found = panel(starts, x, torch.full_like(y, label), others)
    assert found.logits.shape == (len(found.candidates), 2, 5)
    assert found.left_out.shape == (len(found.candidates), 2, k)
    for part in (found.logits, found.left_out, found.unlikeness):
        assert torch.isfinite(part).all()


def test_logits_are_finite_where_a_patient_is_far_outside_the_usual_range(
    starts: list[Start],
) -> None:
    x, y, others = patients(6)
    x[:, 0, 2] = 300
    others[0, 3] = -300
    found = panel(starts, x, y, others)
    assert torch.isfinite(found.logits).all()
    assert torch.isfinite(found.left_out).all()


def test_the_order_of_support_patients_changes_nothing(starts: list[Start]) -> None:
    x, y, others = patients(7)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    a, b = panel(starts, x, y, others), panel(starts, x[:, order], y[:, order], others)
    torch.testing.assert_close(a.logits, b.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.left_out[..., order], b.left_out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.unlikeness, b.unlikeness, atol=1e-5, rtol=1e-5)


def test_beyond_the_folds_only_left_out_steps_depend_on_the_order(starts: list[Start]) -> None:
    x, y, others = patients(FOLDS + 3)
    order = torch.arange(FOLDS + 3).flip(0)
    a, b = panel(starts, x, y, others), panel(starts, x[:, order], y[:, order], others)
    torch.testing.assert_close(a.logits, b.logits, atol=2e-5, rtol=1e-5)
    fixed = [i for i, c in enumerate(a.candidates) if c.family != "steps"]
    torch.testing.assert_close(
        a.left_out[fixed][..., order], b.left_out[fixed], atol=2e-5, rtol=1e-5
    )


def test_other_patients_change_no_patients_prediction(starts: list[Start]) -> None:
    x, y, others = patients(5)
    alone = panel(starts, x, y, others[:2])
    beside = panel(starts, x, y, torch.cat([others[:2], 9 * others[2:]]))
    torch.testing.assert_close(alone.logits, beside.logits[..., :2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.left_out, beside.left_out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.unlikeness, beside.unlikeness[:, :2], atol=1e-5, rtol=1e-5)


def test_each_draw_is_predicted_from_its_own_support(starts: list[Start]) -> None:
    x, y, others = patients(5, draws=3)
    together = panel(starts, x, y, others)
    for d in range(3):
        alone = panel(starts, x[d : d + 1], y[d : d + 1], others)
        torch.testing.assert_close(together.logits[:, d], alone.logits[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            together.left_out[:, d], alone.left_out[:, 0], atol=1e-5, rtol=1e-5
        )


def by_hand(start: Start, x: Tensor, y: Tensor, rows: Tensor, steps: int) -> Tensor:
    """Logits of rows [n] after plain inner steps on one support."""
    rates = constant_rates(start.meta, start.learner.settings.inner_lr)
    support = Rows(x, y, torch.ones(len(y)))
    phi = adapt(start.learner.loss, start.meta, support, rates, steps=steps, second_order=False)
    scores = start.learner.logits(phi, rows)
    return scores[:, 1] - scores[:, 0]


@pytest.mark.parametrize("multiple", MULTIPLES)
@pytest.mark.parametrize("k", [2, 7, FOLDS])
def test_a_left_out_patient_of_steps_is_predicted_by_a_refit_without_it(
    k: int, multiple: int, starts: list[Start]
) -> None:
    x, y, others = patients(k)
    found, steps = panel(starts, x, y, others), 2 * multiple  # the study takes 2 steps
    for start in starts:
        logits, left_out = of(found, f"{start.name}/steps/{steps}")
        torch.testing.assert_close(
            logits[1], by_hand(start, x[1], y[1], others, steps), atol=1e-5, rtol=1e-5
        )
        rest = torch.arange(k) != 1
        refit = by_hand(start, x[1][rest], y[1][rest], x[1][~rest], steps)
        torch.testing.assert_close(left_out[1, 1:2], refit, atol=1e-5, rtol=1e-5)


def test_beyond_the_folds_a_left_out_patients_whole_fold_is_left_out(starts: list[Start]) -> None:
    k = FOLDS + 3
    x, y, others = patients(k)
    _, left_out = of(panel(starts, x, y, others), "maml/steps/2")
    rest = torch.arange(k) % FOLDS != 1  # patients 1 and 11
    refit = by_hand(starts[0], x[0][rest], y[0][rest], x[0][~rest], 2)
    torch.testing.assert_close(left_out[0, [1, 11]], refit, atol=1e-5, rtol=1e-5)


def test_the_only_patient_left_out_is_predicted_by_the_start_as_it_is(starts: list[Start]) -> None:
    x, y, others = patients(1)
    found = panel(starts, x, y, others)
    for start in starts:
        scores = start.learner.logits(start.meta, x)
        expected = scores[..., 1] - scores[..., 0]
        for steps in (2, 6):
            _, left_out = of(found, f"{start.name}/steps/{steps}")
            torch.testing.assert_close(left_out, expected, atol=1e-5, rtol=1e-5)


def test_prevalence_sees_labels_alone_and_local_sees_no_start(starts: list[Start]) -> None:
    x, y, others = patients(6)
    found, changed = panel(starts, x, y, others), panel(starts[1:], x + 1, y, others - 3)
    logits, _ = of(found, "prevalence")
    torch.testing.assert_close(logits, of(changed, "prevalence")[0], atol=1e-6, rtol=0)
    assert (logits.diff(dim=1) == 0).all()
    assert torch.equal(of(found, "local/1")[0], of(panel([], x, y, others), "local/1")[0])


def test_the_intercept_moves_all_patients_of_a_start_alike(starts: list[Start]) -> None:
    x, y, others = patients(6)
    logits, _ = of(panel(starts, x, torch.ones_like(y), others), "maml/intercept/1")
    found = panel(starts, x[:, :0], y[:, :0], others)
    zero, _ = of(found, "maml/zero")
    # b has the variance v, the same for all patients: (zero + b) / sqrt(1 + pi v / 8) is a line.
    slope = (logits[:, 1:] - logits[:, :1]) / (zero[:, 1:] - zero[:, :1])
    torch.testing.assert_close(slope, slope[:, :1].expand_as(slope), atol=1e-3, rtol=0)
    assert (logits > zero).all()


def test_local_is_ridge_logistic_regression_with_an_intercept_of_its_own() -> None:
    x, y, others = patients(6)
    logits, left_out = of(panel([], x, y, others), "local/0.3")
    phi, other = (
        torch.cat([0.3**0.5 * part, torch.full_like(part[..., :1], 2.0)], -1)
        for part in (x.double(), others.double())
    )
    gram = Gram(phi @ phi.mT, other @ phi.mT, other.square().sum(-1).expand(2, -1))
    nothing, other_nothing = torch.zeros(2, 6).double(), torch.zeros(2, 5).double()
    expected = posterior(gram, nothing, other_nothing, y)
    torch.testing.assert_close(logits.double(), expected.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(left_out.double(), expected.left_out, atol=1e-4, rtol=0)


def test_unlikeness_is_a_share_and_grows_with_the_distance_from_the_support(
    starts: list[Start],
) -> None:
    x, y, _ = patients(8)
    others = torch.stack([x[0, 3], x[0, 3] + 3, x[0, 3] + 30])
    same, far, farther = panel(starts, x, y, others).unlikeness[0].tolist()
    assert 0 <= same < far < farther <= 1
