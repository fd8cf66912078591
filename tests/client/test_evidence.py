from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from client.evidence import (
    ADAPTED,
    INTERCEPT,
    LOCAL,
    PREVALENCE,
    WAYS,
    ZERO,
    as_json,
    left_out,
    weigh,
)
from client.personal import Fit, Personal, fit
from common.metrics import log_losses
from common.personal.conformal import Reference, prediction_sets, thresholds
from common.personal.starts import View

Make = Callable[..., Personal]


def test_no_result_stands_without_the_simpler_ways_and_every_candidate(
    fitted: tuple[Personal, Fit],
) -> None:
    found = weigh(*fitted)
    assert tuple(found.scores) == WAYS
    assert len(found.candidates) == len(fitted[1].panel.candidates)
    assert sum(row.weight for row in found.candidates) == pytest.approx(1)
    weights = [row.weight for row in found.candidates]
    assert weights == sorted(weights, reverse=True)
    assert all(row.log_loss is not None for row in found.candidates)


def test_a_patients_own_label_does_not_change_its_left_out_prediction(personal: Make) -> None:
    one = personal(14)
    flipped = one.y.clone()
    flipped[3] = 1 - flipped[3]
    ways, others = (left_out(p, fit(p)) for p in (one, replace(one, y=flipped)))
    for name in (ZERO, LOCAL):
        assert others[name][3] == pytest.approx(ways[name][3], abs=1e-9)
    for name in (INTERCEPT, PREVALENCE):  # to first order, so hardly
        assert others[name][3] == pytest.approx(ways[name][3], abs=0.02)
    assert not np.allclose(others[LOCAL], ways[LOCAL])


def test_local_only_from_20_patients_on_is_fitted_by_folds_without_the_held(personal: Make) -> None:
    one = personal(23)
    flipped = one.y.clone()
    flipped[[2, 12, 22]] = 1 - flipped[[2, 12, 22]]  # one fold of ten
    ways, others = (left_out(p, fit(p))[LOCAL] for p in (one, replace(one, y=flipped)))
    assert others[[2, 12, 22]].tolist() == pytest.approx(ways[[2, 12, 22]].tolist(), abs=1e-9)


def test_zero_shot_is_the_mean_of_the_starts_as_they_are(fitted: tuple[Personal, Fit]) -> None:
    personal, found = fitted
    logits = [View(start, personal.x.double()).logit for start in found.starts]
    expected = torch.stack(logits).mean(0).sigmoid().tolist()
    assert left_out(personal, found)[ZERO].tolist() == pytest.approx(expected)


def test_the_gain_is_over_the_best_simpler_way(fitted: tuple[Personal, Fit]) -> None:
    found, y = weigh(*fitted), fitted[0].y.numpy()
    ways = left_out(*fitted)
    means = {name: float(log_losses(y, p).mean()) for name, p in ways.items()}
    simpler = {name: value for name, value in means.items() if name != ADAPTED}
    assert found.best == min(simpler, key=lambda name: simpler[name])
    assert found.gain.mean == pytest.approx(means[ADAPTED] - min(simpler.values()))


def test_coverage_is_judged_by_sets_made_without_the_patient(personal: Make) -> None:
    one = personal(12)
    found = fit(one)
    # Without federation's scores of its own, a patient's own score would be the limit.
    found = replace(found, reference=Reference((np.zeros(201), np.zeros(201)), 0.9))
    p, y = left_out(one, found)[ADAPTED], one.y.numpy()
    inside = []
    for i in range(12):
        rest = np.arange(12) != i
        limits = thresholds(found.reference, p[rest], y[rest], one.coverage)
        inside.append(bool(prediction_sets(p[[i]], limits)[0, y[i]]))
    covered = weigh(one, found).covered["all"].mean
    assert covered == pytest.approx(np.mean(inside))
    with_own = prediction_sets(p, thresholds(found.reference, p, y, one.coverage))
    assert covered < with_own[np.arange(12), y].mean()


def test_below_five_patients_there_are_no_intervals_and_of_one_class_no_area(
    personal: Make,
) -> None:
    few = weigh(*(lambda p: (p, fit(p)))(personal(4)))
    assert few.gain.low is None
    assert few.scores[ADAPTED].brier.low is None
    single = weigh(*(lambda p: (p, fit(p)))(personal(8, gout=0)))
    assert single.scores[ADAPTED].auroc.mean is None
    assert single.covered["with"].mean is None
    assert single.scores[PREVALENCE].auroc.mean is None


def test_one_patient_is_enough_to_run(personal: Make) -> None:
    one = personal(1)
    assert weigh(one, fit(one)).scores[LOCAL].brier.mean == pytest.approx(0.25)


def test_the_json_holds_no_patients_probability(fitted: tuple[Personal, Fit]) -> None:
    found = weigh(*fitted)
    text = repr(as_json(found))
    assert not any(f"{p:.6f}"[:8] in text for p in found.p)
