import html
import re
from typing import Any

import pytest

from simulation.compare import report, results
from simulation.compare.report import report_html
from simulation.compare.report_arms import headline, held_tasks, sites
from simulation.compare.report_method import at_edge
from simulation.compare.results import LOCAL, Table
from simulation.compare.unit import GATED
from simulation.report_lists import MOST

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
    better: dict[str, int] = BETTER,
    places: tuple[str, ...] = (SITE, "B", "C"),
    seeds: tuple[int, ...] = (0,),
    *,
    generated: bool = False,
) -> dict[str, Any]:
    units = [unit(s, place, better, 0.1 * i) for s in seeds for i, place in enumerate(places)]
    for one in units:
        for line in one["weights"]:
            line |= {"own_evidence": 0.125, "tasks": 1}
    table = Table(units, generated=generated)
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
        "units": [{k: v for k, v in u.items() if k not in ("scores", "sets")} for u in units],
        "compared": results.compared(table),
        "sets": results.sets(units),
        "new_site": results.new_site(table),
        "tests": results.tests(table, 0),
        "by_seed": results.by_seed(table),
        "rows": list(results.rows(table, HEAD, 0)),
    }


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(make_results())


@pytest.fixture(autouse=True)
def blank_pictures(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing, which takes a second, to `page`."""
    for name in ("arm_curves", "ahead_curves", "candidate_curves"):
        monkeypatch.setattr(report, name, lambda found: "<svg></svg>")


def words(page: str) -> str:
    """Return the text that a reader sees, pictures left out."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def said(**given: Any) -> str:
    return words(report_html(make_results(**given)))


def table_of(page: str, title: str) -> dict[str, list[str]]:
    """Return the rows of the table with that caption: first cell to the others, tags left in."""
    body = page[page.index(f"<caption>{title}") :]
    lines = re.findall(r"<tr>(.*?)</tr>", body[: body.index("</table>")], re.S)[1:]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S) for line in lines]
    return {words(first): rest for first, *rest in cells}


def test_page_stands_alone(page: str) -> None:
    assert page.count("<svg") == 3
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b|@import|\bon\w+=", page)
    assert all(target.startswith("#") for target in re.findall(r"href=\"([^\"]*)", page))
    ids = re.findall(r"\bid=\"([^\"]*)\"", page)
    assert len(ids) == len(set(ids))


def test_same_results_give_the_same_bytes(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert report_html(make_results()) == page


def test_results_are_left_as_they_were() -> None:
    found = make_results()
    report_html(found)
    assert found == make_results()


def test_names_from_files_are_escaped(page: str) -> None:
    assert not re.search(r"<b>&|<years>|<i>", page)
    assert f"{html.escape(SITE)} / gout" in page
    assert f"{html.escape(SITE)} / rare" in page


def test_no_cell_is_nan_or_none(page: str) -> None:
    assert not re.search(r"\b(nan|inf|None)\b", words(page))


def test_a_losing_gate_is_said_to_lose_and_by_how_much() -> None:
    # AUROC over three sites: .05 (4 - 3) (1 + 1.1 + 1.2) / 3 = .055, and so is the Brier score.
    text = said()
    assert "the gate is ahead in 0 and behind in 4." in text
    assert "The largest loss is 0.055 of AUROC to fedavg-finetune at k = 0." in text
    assert (
        "fedavg-finetune is better than the gate at k = 0 (by 0.055) and k = 20 (by 0.055). "
        "The gate is ahead of every baseline at no k."
    ) in text
    assert text.count("baseline ahead") == 4
    assert "The largest lead" not in text


def test_a_winning_gate_is_said_to_win_where_more_and_where_less_is_better() -> None:
    text = said(better=BETTER | {GATED: 5})
    assert "the gate is ahead in 4 and behind in 0." in text
    assert text.count("The gate is ahead of every baseline at k = 0 and 20.") == 2
    assert "is better than the gate" not in text


def test_a_loss_that_rounds_to_nothing_is_still_a_loss() -> None:
    found = make_results()
    for line in found["compared"]:
        line["best_baseline_ahead"] = -0.0002 if line["metric"] == "auroc" else 0.0002
    assert "at k = 0 (by less than 0.001)" in words(report_html(found))


def test_a_candidate_that_alone_beats_the_gate_is_named() -> None:
    assert "used alone" not in said().split("How to read this")[0]
    text = said(better=BETTER | {"candidate:maml/zero": 5})
    assert "would have been best: maml/zero at k = 0; maml/zero at k = 20." in text


def test_an_interval_that_holds_zero_is_said_to() -> None:
    found = make_results()
    for test in found["tests"]:
        test["low"], test["high"] = -0.2, 0.2
    assert words(report_html(found)).count("baseline ahead, includes 0") == 4
    assert "includes 0" not in said().split("How to read this")[0]


def test_harm_is_told_at_each_k() -> None:
    assert "that the gate harms: 0.0% at every k." in said()
    # The local arm is .05, .055 and .06 of AUROC ahead of the gate: beyond .02 at each site.
    harmed = said(better=BETTER | {LOCAL: 4})
    assert "that the gate harms: 100.0% at k = 0; 100.0% at k = 20." in harmed


def test_pooled_arms_are_marked_and_compete_for_nothing(page: str) -> None:
    found = table_of(page, "AUROC (higher is better): mean over 3 tasks")
    assert "<strong>" not in found["pooled-trees *"][0]
    assert "<strong>" in found["fedavg-finetune"][0]
    assert sum("<strong>" in cells[0] for cells in found.values()) == 1
    assert "of all patients in one place: no federation has that" in words(page)


def test_best_of_a_calibration_slope_is_the_nearest_to_one(page: str) -> None:
    # Slopes are .5 - .05 good, so the worst arm, prevalence, is nearest to 1.
    found = table_of(page, "calibration slope")
    assert [arm for arm, cells in found.items() if "<strong>" in cells[0]] == ["prevalence"]


def test_tests_say_how_small_p_can_be(page: str) -> None:
    text = words(page)
    assert "with 3 sites no p can be below 0.250, so that no difference could be called" in text
    found = table_of(page, "AUROC (higher is better): gated minus other<")
    minus = "\N{MINUS SIGN}"
    cell = words(found["fedavg-finetune"][0])
    # Differences .05, .055, .06 against the gate, all of one sign; five times .25 is above 1.
    assert cell == (
        f"{minus}0.055 {minus}0.060 to {minus}0.050 worse HL {minus}0.055 p 0.250, Holm 1.000"
    )
    assert "local-logistic" in found
    assert "maml/zero" in table_of(page, "AUROC (higher is better): gated minus other, own")


def test_with_one_site_there_is_no_interval_and_nothing_is_nan() -> None:
    text = said(places=("B",))
    assert "no interval" in text
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert "Pairs are sites: with 1 site no p can be below 1.000" in text


def test_with_one_site_the_pictures_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert report_html(make_results(places=("B",))).count("<svg") == 3


def test_coverage_stands_beside_the_nominal() -> None:
    # 60 % hold one label and 10 % none: 30 % hold both.
    assert "20 90.0% 87.5% 85.0% 90.0% 60.0% 30.0% 10.0% 5.0% 3" in said()


def test_seeds_stand_apart_and_few_are_said_to_be_few() -> None:
    text = said(seeds=(0, 1))
    assert "gated, seed 1 0.665 0.665" in text
    assert "2 seeds only: fewer than 5 are no evidence" in text
    assert "seeds only" not in said(seeds=(0, 1, 2, 3, 4))


def test_each_task_shows_the_gate_the_local_arm_and_the_best_federated_one(page: str) -> None:
    task = page[page.index("<h4>B / gout") :]
    task = task[: task.index("</section>")]
    arms = table_of(task, "AUROC")
    assert list(arms) == [GATED, LOCAL, "fedavg-finetune"]
    assert "200 patients, 40 positive (20.0%); tested on 100, 20 positive" in words(task)


def test_tasks_without_scores_are_listed_by_reason() -> None:
    assert f"2 of the rarer class 3 {SITE} / rare; B / rare; C / rare" in said()


def test_worlds_that_are_generated_are_told_apart_and_are_no_evidence() -> None:
    found = make_results(seeds=(0, 1), generated=True)
    assert f"{SITE} / gout (seed 1)" in held_tasks(found)
    assert len(sites(found)) == 6
    text = words(report_html(found))
    assert "The patients are generated. A result on them is no evidence about medicine" in text
    assert "B / rare (seed 1)" in text
    assert "The patients are generated" not in said(seeds=(0, 1))


def test_choices_at_the_edge_of_their_grid_are_flagged(page: str) -> None:
    found = table_of(page, "Most frequent setting")
    assert words(found["fedavg-finetune: factor on the rate, steps"][0]) == (
        "0.3, 20 3 of 3 edge: 3 of 3"
    )
    assert words(found["maml: factor on the rate, steps"][0]) == "1, 5 3 of 3"


@pytest.mark.parametrize(
    ("arm", "inside", "edge"),
    [
        ("fedavg-finetune", (0.3, 10.0), (3.0, 10.0)),
        ("maml-task", (1.0, 5.0), (1.0, 1.0)),
        ("local-network", (3.0, 20.0), (3.0, 50.0)),
        ("local-trees", (20.0, 2.0), (10.0, 2.0)),
        ("ditto-task", (1.0, 0.3), (1.0, 0.01)),
    ],
)
def test_each_arm_has_its_own_grid(
    arm: str, inside: tuple[float, ...], edge: tuple[float, ...]
) -> None:
    assert not at_edge(arm, inside)
    assert at_edge(arm, edge)


def test_what_the_gate_trusts_is_named_with_its_weight() -> None:
    assert "20 0.125 maml/full/4 75.0%; local/1 25.0%" in said()


def test_arms_for_the_diagnosis_alone_stand_in_the_picture_where_there_are_any() -> None:
    better = BETTER | {"fedavg-task": 2, "fedavg-task-finetune": 3}
    assert headline(make_results(better)) == [
        *(GATED, LOCAL, "fedavg-task", "fedavg-task-finetune", "maml")
    ]


def test_the_command_can_be_repeated() -> None:
    whole = "--k 0 --k 20 --draws 30 --tasks 20 --min-per-class 8 "
    assert (
        "wardround compare --dataset heart --data '/a b' --scenario few-shot --seeds 2 "
        f"--first-seed 3 {whole}"
    ) in said(seeds=(3, 4))
    # With a single thing held out in all units it was asked for; else each site has its turn.
    assert "--held-out B --seeds 1" in said(places=("B",))


def test_of_very_many_tasks_the_first_are_shown() -> None:
    many = tuple(f"site-{i:03d}" for i in range(MOST + 20))
    page = report_html(make_results({GATED: 3, LOCAL: 1, "fedavg": 2}, places=many))
    assert page.count('<section class="task">') == MOST
    assert "And 20 tasks more. results.json lists every one, under 'rows'." in words(page)
    assert "with 80 sites no p can be below 2e-24." in words(page)
