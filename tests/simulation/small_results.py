"""Results of a small run in which it is known who wins where."""

from typing import Any

import pytest

SITE = "<b>& $x_1$"
ARMS = ("local-logistic", "local-network", "fedavg", "fedavg-finetune", "reptile")
KS = (0, 5, 50)


# AUROC falls and Brier rises by 0.05 from one arm to the next, in this order.
ORDER = {
    "auroc": ("fedavg-finetune", "reptile", "fedavg", "local-logistic", "local-network"),
    "brier": ("reptile", "fedavg-finetune", "local-network", "local-logistic", "fedavg"),
}


def mean(arm: str, metric: str) -> float:
    if arm == "truth":
        return 0.99 if metric in ("auroc", "auprc") else 0.01
    if metric in ("auroc", "auprc"):
        return 0.9 - 0.05 * ORDER["auroc"].index(arm)
    return 0.1 + 0.05 * ORDER["brier"].index(arm)


def estimate(value: float) -> dict[str, float]:
    return {"mean": value, "low": value - 0.01, "high": value + 0.01}


def rows(held_out: str, ks: tuple[int, ...], arms: tuple[str, ...], tasks: int = 1) -> list[Any]:
    return [
        {"held_out": held_out, "k": k, "arm": arm, "metric": metric, "tasks": tasks}
        | estimate(mean(arm, metric))
        for k in ks
        for arm in arms
        for metric in ("auroc", "auprc", "brier", "log-loss")
    ]


def difference(k: int, other: str, metric: str) -> dict[str, Any]:
    at = {"k": k, "arm": "reptile", "minus": other, "metric": metric, "tasks": 2}
    return at | estimate(mean("reptile", metric) - mean(other, metric))


def make_results(arms: tuple[str, ...] = ARMS) -> dict[str, Any]:
    """Two held-out tasks at one site whose name is hostile; every difference is clear."""
    return {**about(), **trained(), **scored(arms)}


def about() -> dict[str, Any]:
    """What was run, on whose data, and what of it is private."""
    return {
        "study": {
            "id": "f" * 64,
            "purpose": "Who has it?",
            "features": [{"name": "age <years>"}],
            "algorithm": {"name": "reptile", "inner_lr": 0.1},
            "model": {"hidden": 64},
            "episodes": {"support": 10},
            "server": {"rounds": 2},
            "evaluation": {"k": list(KS), "draws": 30},
        },
        "settings": {"dataset": "synthetic", "scenario": "few-shot", "seed": 0}
        | {"held-out": "St Mary's;b", "rounds": 2, "sites": 0},
        "versions": {"wardround": "0.1.0"},
        "dataset": "synthetic",
        "scenario": "few-shot",
        "note": "Nobody here is real.",
        "privacy": {
            "profile": "masked",
            "private": False,
            "gives": "Sums only.",
            "lacks": "Liars bend <the> sum.",
            "epsilon": {"a": {"replace_one": 3.75, "zero_out": 2.108, "delta": 1e-5}},
            "unknown": "",
        },
    }


def trained() -> dict[str, Any]:
    """Two rounds in three attempts."""
    attempt = {"round_index": 1, "attempt": 1, "closed": True, "accepted": ["a", "b"]}
    return {
        "training": [{"site": "a", "task": "sepsis", "patients": 90, "positive": 9}],
        "idle_sites": ["tiny ward"],
        "rounds": [
            attempt | {"dropped": {}, "seconds": 1.5},
            attempt | {"closed": False, "dropped": {SITE: "deadline"}, "seconds": 1.0},
            attempt | {"accepted": ["a"], "dropped": {SITE: "deadline"}, "seconds": 1.0},
        ],
        "learning_curve": [
            {"round": n, "arm": arm, "metric": metric, "mean": 0.5 + n / 10}
            for n in (1, 2)
            for arm in ("reptile", "fedavg")
            for metric in ("auroc", "log-loss")
        ],
        "choices": [{"arm": "reptile", "k": 5, "rate_scale": 0.3, "steps": 20}],
    }


def scored(arms: tuple[str, ...]) -> dict[str, Any]:
    """Scores of all arms, and what reptile's are ahead of the others'."""
    held = {"site": SITE, "group": "", "patients": 200, "positive": 40, "test_patients": 100}
    held |= {"test_positive": 20, "can_be_labelled": 100}
    names = {f"{SITE} / {task}": task for task in ("sepsis", "stroke")}
    return {
        "held_out": [held | {"held_out": name, "task": task} for name, task in names.items()],
        "not_scored": [{"held_out": f"{SITE} / gout", "why": "2 of the rarer class"}],
        "rows": [
            *(r for name in names for r in rows(name, KS, arms)),
            *rows("all", KS, arms, tasks=2),
        ],
        "rows_per_class": rows("all", (1, 10), arms, tasks=2),
        "differences": [
            difference(k, other, metric)
            for metric in ("auroc", "brier")
            for k in KS
            for other in arms
            if other != "reptile"
        ],
    }


pytestmark = pytest.mark.usefixtures("no_pictures")
