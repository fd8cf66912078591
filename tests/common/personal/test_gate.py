import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from common.metrics import areas
from common.personal.candidates import Candidate, Panel
from common.personal.gate import (
    Gate,
    Mixed,
    Scale,
    evidence,
    mix,
    pooled,
    prior_log_weights,
)
from common.personal.learning import Judged, learn
from common.randomness import generator

PREVALENCE, GOOD = Candidate("", "prevalence"), Candidate("maml", "full", 4.0)
NOISE = (
    Candidate("maml", "full", 1.0),
    Candidate("", "local", 0.1),
    Candidate("maml", "head", 3.0),
)
CANDIDATES = (PREVALENCE, GOOD, *NOISE)


def planted(
    seed: int,
    *,
    k: int = 6,
    n: int = 60,
    draws: int = 2,
    signal: float = 3.0,
    shuffled: bool = False,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> Judged:
    """A task on which `GOOD` alone knows anything, about support and other patients alike.

    shuffled: not even that one does.
    """
    rng = generator("planted", seed, k)

    def logits(y: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Tensor:
        shown = rng.permutation(y.ravel()).reshape(y.shape) if shuffled else y
        found = []
        for candidate in candidates:
            z = signal * rng.normal(size=y.shape) / 2
            if candidate == PREVALENCE:
                z = np.full(y.shape, math.log(0.3 / 0.7))
            if candidate == GOOD:
                z = signal * (shown - 0.5) + rng.normal(size=y.shape)
            found.append(z)
        return torch.from_numpy(np.stack(found)).float()

    y = (np.arange(n) < 0.3 * n).astype(np.int64)
    support_y = (rng.random((draws, k)) < 0.3).astype(np.int64)
    panel = Panel(
        tuple(candidates),
        logits(np.broadcast_to(y, (draws, n))),
        logits(support_y),
        torch.zeros(draws, n),
    )
    return Judged(panel, torch.from_numpy(support_y), torch.from_numpy(y))


def tasks(number: int, *, first: int = 0, **given: object) -> list[Judged]:
    return [planted(seed, **given) for seed in range(first, first + number)]  # type: ignore[arg-type]


def applied(at: Scale, task: Judged) -> Mixed:
    return mix(at, task.panel, task.support_y.float())


def scale_of(**given: object) -> Scale:
    """Equal weights, no correction of any kind, changed as given."""
    plain = Scale({c.name: 0.0 for c in CANDIDATES}, 0.0, 1.0, 0.0, 0.0)
    return plain._replace(**given)  # type: ignore[arg-type]


def auroc(logits: Tensor, y: Tensor) -> float:
    return float(areas(y.numpy(), logits.double().numpy()).mean())


def log_loss(logits: Tensor, y: Tensor) -> float:
    return float((torch.nn.functional.softplus(logits) - y * logits).mean())


def test_the_weight_goes_to_the_candidate_that_knows_and_costs_it_nothing() -> None:
    at = learn({6: tasks(10)}).for_patients(6)
    for task in tasks(5, first=100):
        found = applied(at, task)
        weights = found.weights.mean(1)
        assert weights.argmax() == 1
        assert weights[1] > 0.7
        assert weights[2:].sum() < 0.1  # the rest is the prevalence's, which changes no order
        good = task.panel.logits[1]
        assert auroc(found.logits, task.y) == pytest.approx(auroc(good, task.y), abs=0.01)
        assert log_loss(found.logits, task.y) < log_loss(good, task.y) + 0.01


def test_overconfident_logits_are_shrunk() -> None:
    # Equal patients, logits three times as large: a third of the scale would be fair.
    alone = (PREVALENCE, GOOD)
    fair = tasks(10, candidates=alone)
    loud = [t._replace(panel=t.panel._replace(logits=3 * t.panel.logits)) for t in fair]
    a, b = (learn({6: given}).for_patients(6) for given in (fair, loud))
    assert b.scale < 0.7 * a.scale


def test_a_candidate_that_is_no_number_is_struck_out_and_the_others_fill_its_place() -> None:
    task = planted(0)
    plain = applied(scale_of(), task)
    torch.testing.assert_close(plain.weights, torch.full((5, 2), 1 / 5))
    for part in ("logits", "left_out"):
        for bad in (float("nan"), float("inf"), float("-inf")):
            broken = getattr(task.panel, part).clone()
            broken[2, 0, 3] = bad
            found = applied(scale_of(), task._replace(panel=task.panel._replace(**{part: broken})))
            expected = torch.tensor([1 / 4, 1 / 4, 0, 1 / 4, 1 / 4])
            torch.testing.assert_close(found.weights[:, 0], expected)
            torch.testing.assert_close(found.weights[:, 1], plain.weights[:, 1])
            assert torch.isfinite(found.logits).all()
            assert torch.isfinite(found.left_out).all()


def test_a_panel_without_a_finite_candidate_that_the_gate_knows_raises() -> None:
    task = planted(0)
    with pytest.raises(ValueError, match="knows none"):
        applied(scale_of(log_weights={"reptile/head/3": 0.0}), task)
    broken = task.panel.logits.clone()
    broken[1, 0] = float("nan")
    panel = task.panel._replace(logits=broken)
    with pytest.raises(ValueError, match="is finite"):
        applied(scale_of(log_weights={GOOD.name: 0.0}), task._replace(panel=panel))


def test_a_candidate_that_is_no_number_on_a_validation_task_spoils_no_weight() -> None:
    given = tasks(6)
    for task in given:
        task.panel.logits[3] = float("nan")
    at = learn({6: given}).for_patients(6)
    assert all(map(math.isfinite, (*at.log_weights.values(), at.scale, at.bias, at.own_evidence)))


def test_candidates_that_the_gate_does_not_know_get_no_weight() -> None:
    known = {GOOD.name: 0.0, PREVALENCE.name: math.log(3)}
    found = applied(scale_of(log_weights=known), planted(0))
    torch.testing.assert_close(found.weights[:, 0], torch.tensor([3 / 4, 1 / 4, 0, 0, 0]))
    torch.testing.assert_close(found.weights.sum(0), torch.ones(2))


def test_learning_is_deterministic() -> None:
    given = {0: tasks(3, k=0), 6: tasks(3)}
    assert learn(given) == learn(given)


def test_learning_needs_tasks() -> None:
    with pytest.raises(ValueError, match="validation tasks"):
        learn({5: []})


def test_a_k_without_tasks_is_left_out_and_the_tasks_are_counted() -> None:
    gate = learn({2: [], 6: tasks(3)})
    assert list(gate.at) == [6]
    assert gate.tasks == 3


def test_no_patients_and_some_patients_are_learned_apart() -> None:
    # The k = 0 candidates differ, and no smoothness between k may tie the two.
    start = Candidate("maml", "zero")
    without = tasks(3, k=0, candidates=(PREVALENCE, start))
    gate = learn({0: without, 6: tasks(3)})
    assert set(gate.at[0].log_weights) == {"prevalence", "maml/zero"}
    assert gate.at[0] == learn({0: without}).at[0]
    assert gate.at[6] == learn({6: tasks(3)}).at[6]


def test_own_evidence_favours_the_candidate_that_foresaw_the_support() -> None:
    task = planted(0, k=12)
    own = evidence(task.panel.left_out, task.support_y.float())
    assert (own.argmax(0) == 1).all()
    ignored = applied(scale_of(), task).weights
    counted = applied(scale_of(own_evidence=0.5), task).weights
    assert (counted[1] > ignored[1]).all()
    expected = torch.softmax(0.5 * own, 0)
    torch.testing.assert_close(counted, expected)


def test_evidence_is_the_log_likelihood_of_the_left_out_patients() -> None:
    # Probabilities 3/4 and 1/2 of the two labels that came: log(3/4) + log(1/2).
    left_out = torch.tensor([[[math.log(3), 0.0]], [[float("nan"), 0.0]]])
    found = evidence(left_out, torch.tensor([[1.0, 0.0]]))
    assert found[:, 0].tolist() == pytest.approx([math.log(3 / 8), 0.0])


def test_without_patients_there_is_no_evidence() -> None:
    task = planted(0, k=0)
    found = applied(scale_of(own_evidence=9.0, intercept_sd=1.0), task)
    torch.testing.assert_close(found.weights, torch.full((5, 2), 1 / 5))
    assert found.left_out.shape == (2, 0)


def test_pooled_logits_lie_midway_between_mean_logit_and_mean_probability() -> None:
    # Logits 0 and log 3 in halves: mean logit log(3) / 2; mean probability (1/2 + 3/4) / 2 = 5/8,
    # whose logit is log(5/3).
    logits = torch.tensor([[[0.0]], [[math.log(3)]]])
    found = pooled(torch.full((2, 1), 0.5), logits)
    assert found.item() == pytest.approx((math.log(3) / 2 + math.log(5 / 3)) / 2, abs=1e-6)
    alone = pooled(torch.tensor([[0.0], [1.0]]), torch.tensor([[[float("nan")]], [[2.0]]]))
    assert alone.item() == pytest.approx(2.0, abs=1e-5)


def test_scale_and_bias_are_applied_to_all_logits() -> None:
    task = planted(0)
    plain = applied(scale_of(), task)
    found = applied(scale_of(scale=2.0, bias=-1.0), task)
    torch.testing.assert_close(found.logits, 2 * plain.logits - 1)
    torch.testing.assert_close(found.left_out, 2 * plain.left_out - 1)


def test_the_intercept_is_the_most_likely_one_given_the_left_out_patients() -> None:
    task = planted(0, k=8)
    plain, found = (applied(scale_of(intercept_sd=sd), task) for sd in (0.0, 0.6))
    shift = found.logits - plain.logits
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-5, rtol=0)
    # At the maximum, sum(y - p) = b / sd^2.
    p = (plain.left_out + shift[:, :1]).sigmoid()
    residual = (task.support_y - p).sum(1)
    torch.testing.assert_close(residual, shift[:, 0] / 0.36, atol=1e-4, rtol=0)


def test_a_left_out_prediction_does_not_know_the_patients_own_label() -> None:
    task = planted(0, k=4)
    at = scale_of(intercept_sd=2.0)
    other = task.support_y.clone()
    other[:, 0] = 1 - other[:, 0]
    a, b = applied(at, task), applied(at, task._replace(support_y=other))
    torch.testing.assert_close(a.left_out[:, 0], b.left_out[:, 0])
    assert (a.left_out[:, 1:] != b.left_out[:, 1:]).all()
    assert (a.logits != b.logits).all()
    # What is said of a patient is what the other three say, as if there were no more.
    panel = task.panel._replace(left_out=task.panel.left_out[..., 1:])
    three = mix(at, panel, task.support_y[:, 1:].float())
    shift = three.logits - applied(scale_of(), task).logits
    expected = applied(scale_of(), task).left_out[:, 0] + shift[:, 0]
    torch.testing.assert_close(a.left_out[:, 0], expected, atol=1e-5, rtol=0)


def test_the_nearest_k_in_logarithms_holds() -> None:
    scales = {k: scale_of(bias=float(k)) for k in (0, 5, 20, 50)}
    gate = Gate(scales, 1)
    # log 6, log 21, log 51: half way between are (k + 1)^2 = 6 * 21 and 21 * 51, 10.2 and 31.7.
    taken = {k: gate.for_patients(k).bias for k in (0, 1, 5, 10, 11, 31, 32, 1000)}
    assert taken == {0: 0, 1: 5, 5: 5, 10: 5, 11: 20, 31: 20, 32: 50, 1000: 50}


def test_without_patients_a_gate_that_never_saw_that_takes_its_smallest_k() -> None:
    gate = Gate({5: scale_of(bias=5.0), 20: scale_of()}, 1)
    assert gate.for_patients(0).bias == 5


def test_with_labels_that_nothing_foretells_the_gate_is_as_good_as_the_prevalence() -> None:
    gate = learn({6: tasks(12, shuffled=True)})
    found, losses = [], []
    for task in tasks(20, first=500, shuffled=True, n=100):
        logits = applied(gate.for_patients(6), task).logits
        found.append(auroc(logits, task.y))
        losses.append(log_loss(logits, task.y) - log_loss(task.panel.logits[0], task.y))
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / len(found) ** 0.5)
    assert np.mean(losses) < 0.01


def test_the_prior_is_shared_by_starts_then_families_then_strengths() -> None:
    names = ["prevalence", "local/0.1", "local/1", "maml/intercept", "maml/full/1", "maml/full/4"]
    names += ["maml/head/3", "deep/intercept"]
    p = dict(zip(names, prior_log_weights(names).exp().tolist(), strict=True))
    assert sum(p.values()) == pytest.approx(1.0)
    # Four origins: none with the prevalence alone, none with inputs, maml, deep.
    assert p["prevalence"] == pytest.approx(1 / 4)
    assert p["local/0.1"] == p["local/1"] == pytest.approx(1 / 8)
    assert p["maml/intercept"] == p["maml/head/3"] == pytest.approx(1 / 12)
    assert p["maml/full/1"] == p["maml/full/4"] == pytest.approx(1 / 24)
    assert p["deep/intercept"] == pytest.approx(1 / 4)


def test_few_tasks_leave_the_weights_near_theprior_log_weights() -> None:
    # Nothing foretells anything: the penalty holds the starts' shares where they were.
    at = learn({6: tasks(12, shuffled=True, signal=0.1)}).for_patients(6)
    names = list(at.log_weights)
    moved = torch.tensor([at.log_weights[n] for n in names]) - prior_log_weights(names)
    assert moved.abs().max() < 2


def test_where_nothing_orders_the_patients_everybody_gets_the_prevalence() -> None:
    # The one candidate ranks against the diagnosis, as starts do of a new one.
    start = Candidate("maml", "zero")
    given = tasks(4, k=0, candidates=(PREVALENCE, start))
    against = []
    for task in given:
        even, ranked = task.panel.logits
        wrong = -3 * (2 * task.y - 1).float().expand_as(ranked)
        logits = torch.stack([torch.zeros_like(even), wrong])
        against.append(task._replace(panel=task.panel._replace(logits=logits)))
    gate = learn({0: against})
    assert set(gate.at[0].log_weights) == {"prevalence"}
    prevalence = sum(float(task.y.float().mean()) for task in against) / len(against)
    for task in against:
        p = mix(gate.at[0], task.panel, task.support_y).logits.sigmoid()
        assert p.flatten().tolist() == pytest.approx([prevalence] * p.numel(), abs=1e-5)
