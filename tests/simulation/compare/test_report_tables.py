import re
from collections.abc import Callable
from typing import Any

import pytest

from simulation.compare.report import report_html
from simulation.compare.report_arms import headline, held_tasks, sites
from simulation.compare.report_method import at_edge
from simulation.compare.results import LOCAL
from simulation.compare.scoring import GATED
from simulation.report_lists import MOST

pytestmark = pytest.mark.usefixtures("no_pictures")
Make = Callable[..., dict[str, Any]]
Read = Callable[[str], str]
Said = Callable[..., str]
RowsOf = Callable[[str, str], dict[str, list[str]]]
SITE = "<b>& $x_1$"


def test_pooled_arms_are_marked_and_compete_for_nothing(
    page: str, read: Read, rows_of: RowsOf
) -> None:
    found = rows_of(page, "AUROC (higher is better): mean over 3 tasks")
    assert "<strong>" not in found["pooled-trees *"][0]
    assert "<strong>" in found["fedavg-finetune"][0]
    assert sum("<strong>" in cells[0] for cells in found.values()) == 1
    assert "of all patients in one place: no federation has that" in read(page)


def test_best_of_a_calibration_slope_is_the_nearest_to_one(page: str, rows_of: RowsOf) -> None:
    # Slopes are .5 - .05 good, so the worst arm, prevalence, is nearest to 1.
    found = rows_of(page, "calibration slope")
    assert [arm for arm, cells in found.items() if "<strong>" in cells[0]] == ["prevalence"]


def test_tests_say_how_small_p_can_be(page: str, read: Read, rows_of: RowsOf) -> None:
    text = read(page)
    assert "with 3 sites no p can be below 0.250, so that no difference could be called" in text
    found = rows_of(page, "AUROC (higher is better): gated minus other<")
    minus = "\N{MINUS SIGN}"
    cell = read(found["fedavg-finetune"][0])
    # Differences .05, .055, .06 against the gate, all of one sign; five times .25 is above 1.
    assert cell == (
        f"{minus}0.055 {minus}0.060 to {minus}0.050 worse HL {minus}0.055 p 0.250, Holm 1.000"
    )
    assert "local-logistic" in found
    assert "maml/zero" in rows_of(page, "AUROC (higher is better): gated minus other, own")


def test_with_one_site_there_is_no_interval_and_nothing_is_nan(said: Said) -> None:
    text = said(places=("B",))
    assert "no interval" in text
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert "Pairs are sites: with 1 site no p can be below 1.000" in text


def test_with_one_site_the_pictures_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.undo()
    assert report_html(make(places=("B",))).count("<svg") == 3


def test_coverage_stands_beside_the_nominal(said: Said) -> None:
    # 60 % hold one label and 10 % none: 30 % hold both.
    assert "20 90.0% 87.5% 85.0% 90.0% 60.0% 30.0% 10.0% 5.0% 3" in said()


def test_seeds_stand_apart_and_few_are_said_to_be_few(said: Said) -> None:
    text = said(seeds=(0, 1))
    assert "gated, seed 1 0.665 0.665" in text
    assert "2 seeds only: fewer than 5 are no evidence" in text
    assert "seeds only" not in said(seeds=(0, 1, 2, 3, 4))


def test_each_task_shows_the_gate_the_local_arm_and_the_best_federated_one(
    page: str, read: Read, rows_of: RowsOf
) -> None:
    task = page[page.index("<h4>B / gout") :]
    task = task[: task.index("</section>")]
    arms = rows_of(task, "AUROC")
    assert list(arms) == [GATED, LOCAL, "fedavg-finetune"]
    assert "200 patients, 40 positive (20.0%); tested on 100, 20 positive" in read(task)


def test_tasks_without_scores_are_listed_by_reason(said: Said) -> None:
    assert f"2 of the rarer class 3 {SITE} / rare; B / rare; C / rare" in said()


def test_worlds_that_are_generated_are_told_apart_and_are_no_evidence(
    make: Make, read: Read, said: Said
) -> None:
    found = make(seeds=(0, 1), generated=True)
    assert f"{SITE} / gout (seed 1)" in held_tasks(found)
    assert len(sites(found)) == 6
    text = read(report_html(found))
    assert "The patients are generated. A result on them is no evidence about medicine" in text
    assert "B / rare (seed 1)" in text
    assert "The patients are generated" not in said(seeds=(0, 1))


def test_choices_at_the_edge_of_their_grid_are_flagged(
    page: str, read: Read, rows_of: RowsOf
) -> None:
    found = rows_of(page, "Most frequent setting")
    assert read(found["fedavg-finetune: factor on the rate, steps"][0]) == (
        "0.3, 20 3 of 3 edge: 3 of 3"
    )
    assert read(found["maml: factor on the rate, steps"][0]) == "1, 5 3 of 3"


@pytest.mark.parametrize(
    ("arm", "inside", "edge"),
    [
        ("fedavg-finetune", (0.3, 10.0), (3.0, 10.0)),
        ("maml-task", (1.0, 5.0), (1.0, 1.0)),
        ("local-network", (3.0, 20.0), (3.0, 50.0)),
        ("local-trees", (20.0, 2.0), (5.0, 2.0)),
        ("ditto-task", (1.0, 0.3), (1.0, 0.01)),
    ],
)
def test_each_arm_has_its_own_grid(
    arm: str, inside: tuple[float, ...], edge: tuple[float, ...]
) -> None:
    assert not at_edge(arm, inside)
    assert at_edge(arm, edge)


def test_what_the_gate_trusts_is_named_with_its_weight(said: Said) -> None:
    assert "20 0.125 maml/full/4 75.0%; local/1 25.0%" in said()


def test_arms_for_the_diagnosis_alone_stand_in_the_picture_where_there_are_any(make: Make) -> None:
    better = {"fedavg-task": 2, "fedavg-task-finetune": 3}
    assert headline(make(better)) == [
        *(GATED, LOCAL, "fedavg-task", "fedavg-task-finetune", "maml")
    ]


def test_the_command_can_be_repeated(said: Said) -> None:
    whole = "--k 0 --k 20 --draws 30 --tasks 20 --min-per-class 8 "
    assert (
        "wardround compare --dataset heart --data '/a b' --scenario few-shot --seeds 2 "
        f"--first-seed 3 {whole}"
    ) in said(seeds=(3, 4))
    # With a single thing held out in all units it was asked for; else each site has its turn.
    assert "--held-out B --seeds 1" in said(places=("B",))


def test_shuffled_labels_are_said_to_be_a_control(make: Make, read: Read, said: Said) -> None:
    found = make()
    found["settings"]["shuffled-labels"] = True
    text = read(report_html(found))
    assert "Verdict. Control with shuffled labels. Of 4 comparisons" in text
    assert "--scenario few-shot --shuffled-labels --seeds 1" in text
    assert "huffled" not in said()


def test_of_very_many_tasks_the_first_are_shown(make: Make, read: Read) -> None:
    many = tuple(f"site-{i:03d}" for i in range(MOST + 20))
    page = report_html(make({GATED: 3, LOCAL: 1, "fedavg": 2}, places=many))
    assert page.count('<section class="task">') == MOST
    assert "And 20 tasks more. results.json lists every one, under 'rows'." in read(page)
    assert "with 80 sites no p can be below 2e-24." in read(page)
