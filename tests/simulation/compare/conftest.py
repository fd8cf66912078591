"""A small comparison's results, and ways to read its report."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from simulation.compare import report, results
from simulation.compare.report import report_html
from simulation.compare.results import LOCAL, Table
from simulation.compare.scoring import GATED
from tests.pages import words

SITE = "<b>& $x_1$"
HEAD = {"dataset": "d<i>", "scenario": "few-shot"}
KS = (0, 20)
METRICS = ("auroc", "auprc", "brier", "log-loss", "calibration_slope", "ece")
BETTER = {
    GATED: 3,
    LOCAL: 1,
    "prevalence": 0,
    "pooled-trees": 6,
    "fedavg": 2,
    "fedavg-finetune": 4,
    "maml": 2,
    "candidate:prevalence": 0,
    "candidate:maml/zero": 1,
}
"""How good an arm is: AUROC is .5 + .05 times that, all else .5 - .05 times that."""


def score(metric: str, good: float) -> float:
    return 0.5 + 0.05 * good if metric in ("auroc", "auprc") else 0.5 - 0.05 * good


def unit(seed: int, place: str, better: dict[str, int], step: float) -> dict[str, Any]:
    """One site with one task; arms differ by a little more at each site."""
    name = f"{place} / gout"
    task = {"held_out": name, "site": place, "group": "", "task": "gout", "kind": "new"}
    numbers = {"patients": 200, "positive": 40, "test_patients": 100, "test_positive": 20}
    return {
        "seed": seed,
        "held_out": [place],
        "tasks": [task | numbers | {"can_be_labelled": 100}],
        "not_scored": {f"{place} / rare": "2 of the rarer class"},
        "validation": ["other / gout"],
        "choices": [
            {"arm": "maml", "k": 20, "setting": [1.0, 5.0]},
            {"arm": "fedavg-finetune", "k": 20, "setting": [0.3, 20.0]},
        ],
        "weights": [{"kind": "new", "k": 20, "weights": {"maml/full/4": 0.75, "local/1": 0.25}}],
        "scores": [
            [name, k, arm, metric, score(metric, good * (1 + step)), 0.01]
            for k in KS
            for arm, good in better.items()
            for metric in METRICS
        ],
        "sets": [
            {"held_out": name, "k": k, "covered": 0.875, "covered_with": 0.85}
            | {"covered_without": 0.9, "one_label": 0.6, "no_label": 0.1, "unlike": 0.05}
            for k in KS
        ],
    }


def make_results(
    better: Mapping[str, int] | None = None,
    places: tuple[str, ...] = (SITE, "B", "C"),
    seeds: tuple[int, ...] = (0,),
    *,
    generated: bool = False,
) -> dict[str, Any]:
    units = [
        unit(s, place, {**BETTER, **(better or {})}, 0.1 * i)
        for s in seeds
        for i, place in enumerate(places)
    ]
    for one in units:
        for line in one["weights"]:
            line |= {"own_evidence": 0.125, "tasks": 1}
    table = Table(units, generated=generated)
    return about(seeds) | {
        "units": [{k: v for k, v in u.items() if k not in ("scores", "sets")} for u in units],
        "compared": results.compared(table),
        "sets": results.sets(units),
        "new_site": results.new_site(table),
        "tests": results.tests(table, 0),
        "by_seed": results.by_seed(table),
        "rows": list(results.rows(table, HEAD, 0)),
    }


def about(seeds: tuple[int, ...]) -> dict[str, Any]:
    """What was compared, on whose data, and what of it is private."""
    judged = {"ks": list(KS), "draws": 30, "tasks": 20, "min_per_class": 8}
    return {
        "study": {
            "id": "f" * 64,
            "purpose": "Who has it?",
            "features": [{"name": "age <years>"}],
            "tasks": [{"name": "gout"}],
            "algorithm": {"name": "maml"},
            **{part: {} for part in ("model", "episodes", "server")},
        },
        "settings": {"dataset": "heart", "scenario": "few-shot", "seed": 0, "data": "/a b"}
        | {"seeds": list(seeds)}
        | judged,
        "versions": {"wardround": "0.1.0"},
        **HEAD,
        "note": "Nobody here is real.",
        "privacy": {
            "profile": "none",
            "private": False,
            "gives": "Nothing.",
            "lacks": "Patients.",
            "epsilon": {},
            "unknown": "the study asks for no noise",
        },
    }


def table_of(page: str, title: str) -> dict[str, list[str]]:
    """Return the rows of the table with that caption: first cell to the others, tags left in."""
    body = page[page.index(f"<caption>{title}") :]
    lines = re.findall(r"<tr>(.*?)</tr>", body[: body.index("</table>")], re.S)[1:]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S) for line in lines]
    return {words(first): rest for first, *rest in cells}


@pytest.fixture(scope="session")
def page() -> str:
    return report_html(make_results())


@pytest.fixture
def no_pictures(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing, which takes a second, to `page`."""
    for name in ("arm_curves", "ahead_curves", "candidate_curves"):
        monkeypatch.setattr(report, name, lambda found: "<svg></svg>")


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    return make_results


@pytest.fixture
def read() -> Callable[[str], str]:
    return words


@pytest.fixture
def said(no_pictures: None) -> Callable[..., str]:
    """Return what a reader of the report of such results sees, pictures left out."""
    return lambda **given: words(report_html(make_results(**given)))


@pytest.fixture
def rows_of() -> Callable[[str, str], dict[str, list[str]]]:
    return table_of
