"""A gate as it is applied: weights, evidence of the site's own, scale and intercept."""

import math

import pytest
import torch

from common.personal.gate import Gate, evidence, mix, pooled, prior_log_weights
from tests.common.personal.planted import GOOD, PREVALENCE, applied, planted, scale_of


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


def test_candidates_that_the_gate_does_not_know_get_no_weight() -> None:
    known = {GOOD.name: 0.0, PREVALENCE.name: math.log(3)}
    found = applied(scale_of(log_weights=known), planted(0))
    torch.testing.assert_close(found.weights[:, 0], torch.tensor([3 / 4, 1 / 4, 0, 0, 0]))
    torch.testing.assert_close(found.weights.sum(0), torch.ones(2))


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
