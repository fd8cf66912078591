from collections.abc import Callable

import numpy as np
import pytest
import torch

from common.episodes import Task
from simulation import fed_heart
from simulation.datasets import uci_heart
from simulation.fed_heart import Hospital, predictions, summary


def hospital(name: str, y: list[int], *, test: list[int]) -> Hospital:
    rng = np.random.default_rng(len(name))
    labels = np.array(y)
    x = (rng.standard_normal((len(y), 10)) + labels[:, None]).astype(np.float32)
    task = Task("coronary disease", x, labels, np.arange(len(y)))
    rows = np.arange(len(y))
    return Hospital(task, np.setdiff1d(rows, test), np.array(test))


def test_the_figures_of_two_hospitals_by_hand() -> None:
    hospitals = {
        "A": hospital("A", [0, 0, 1, 1, 0, 1], test=[0, 1, 2, 3]),
        "B": hospital("B", [1, 1, 0], test=[0, 2]),  # one negative: no AUROC of its own
    }
    p = {"A": np.array([0.1, 0.6, 0.4, 0.9]), "B": np.array([0.8, 0.7])}
    found = summary(hospitals, p)
    assert found["accuracy"] == pytest.approx((2 / 4 + 1 / 2) / 2)
    # Of A's four pairs (0.4, 0.9) against (0.1, 0.6), three stand in order.
    assert found["AUROC within"] == pytest.approx(3 / 4)
    # All pairs: 0.4, 0.9, 0.8 against 0.1, 0.6, 0.7: 1 + 3 + 3 of 9.
    assert found["AUROC pooled"] == pytest.approx(7 / 9)
    squares = [0.1**2, 0.6**2, 0.6**2, 0.1**2, 0.2**2, 0.7**2]
    assert found["Brier pooled"] == pytest.approx(np.mean(squares))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Hospital]]:
    monkeypatch.setattr(fed_heart, "PARTS", 2)
    torch.set_num_threads(1)

    def make() -> dict[str, Hospital]:
        y = [0, 1] * 15
        return {name: hospital(name, y, test=list(range(10))) for name in ("A", "BB", "CCC")}

    return make


def test_no_test_patient_has_a_part_in_any_prediction(
    small: Callable[[], dict[str, Hospital]],
) -> None:
    study = uci_heart.STUDY
    features = tuple(study.features[0].model_copy(update={"name": f"f{i}"}) for i in range(10))
    server = study.server.model_copy(update={"rounds": 2})
    study = study.model_copy(update={"features": features, "server": server, "groups": ()})
    first = predictions(study, small(), 0)
    changed = small()
    for own in changed.values():
        own.task.y[own.test] = 1 - own.task.y[own.test]
    second = predictions(study, changed, 0)
    assert set(first) == set(second)
    for arm, by_site in first.items():
        for site, p in by_site.items():
            np.testing.assert_array_equal(p, second[arm][site])
    assert {"gated", "local-logistic", "fedavg/zero", "maml/steps/5"} <= set(first)
