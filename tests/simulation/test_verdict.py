from typing import Any

import pytest

from simulation.summary import ALL
from simulation.verdict import verdict


def results(
    main: float, other: float, low: float | None, high: float | None, metric: str
) -> dict[str, Any]:
    row = {"held_out": ALL, "k": 10, "metric": metric, "tasks": 3, "low": 0.1, "high": 0.9}
    difference = {"k": 10, "arm": "maml", "minus": "fedavg", "metric": metric}
    return {
        "study": {"algorithm": {"name": "maml"}},
        "rows": [
            row | {"arm": "maml", "mean": main},
            row | {"arm": "fedavg", "mean": other},
            row | {"arm": "local-logistic", "mean": 0.5},
            row | {"arm": "truth", "mean": 0.99},
        ],
        "differences": [difference | {"mean": main - other, "low": low, "high": high}],
    }


@pytest.mark.parametrize(
    ("main", "other", "low", "high", "metric", "said"),
    [
        (0.80, 0.85, -0.09, -0.01, "auroc", "maml 0.800 is worse than the best other arm, fedavg"),
        (0.85, 0.80, 0.01, 0.09, "auroc", "is better than"),
        (0.85, 0.80, -0.01, 0.09, "auroc", "is not clearly better than"),
        (0.20, 0.25, -0.09, -0.01, "brier", "is better than"),  # a lower Brier score is better
        (0.30, 0.25, 0.01, 0.09, "brier", "is worse than"),
        (0.80, 0.85, None, None, "auroc", "is not clearly worse than"),
    ],
)
def test_the_sentence_says_who_wins_and_how_sure_that_is(
    main: float, other: float, low: float | None, high: float | None, metric: str, said: str
) -> None:
    (sentence,) = verdict(results(main, other, low, high, metric))
    assert said in sentence
    assert ("no interval" in sentence) == (low is None)


def test_nobody_is_compared_with_the_truth() -> None:
    (sentence,) = verdict(results(0.8, 0.85, -0.1, -0.01, "auroc"))
    assert "truth" not in sentence
