"""A run's report stands alone, says who won before all else, and hides no loss."""

import html

import pytest

from simulation.report import report_html
from simulation.scoring import CURVE_K
from simulation.verdict import compared, verdict
from tests.pages import assert_stands_alone, words
from tests.simulation.small_results import ARMS, KS, SITE, make_results

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_page_stands_alone(page: str) -> None:
    assert page.count("<svg") == 3
    assert_stands_alone(page)


def test_same_results_give_the_same_bytes(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert report_html(make_results()) == page


def test_names_from_files_are_escaped(page: str) -> None:
    assert "<b>&" not in page
    assert "<years>" not in page
    assert f"{html.escape(SITE)} / sepsis" in page


def test_every_arm_and_held_out_task_appears() -> None:
    text = words(report_html(make_results()))
    for name in (*ARMS, f"{SITE} / sepsis", f"{SITE} / stroke", f"{SITE} / gout"):
        assert name in text


def test_a_baseline_that_wins_is_said_to_win_and_before_all_else() -> None:
    text = words(report_html(make_results()))
    said = "fedavg-finetune beats reptile at k = 0, 5 and 50."
    assert f"AUROC (higher is better) {said} reptile clearly beats the best other arm" in text
    assert text.count("fedavg-finetune wins") == len(KS)


def test_a_win_of_the_algorithm_is_said_where_lower_is_better() -> None:
    text = words(report_html(make_results()))
    assert "reptile beats the best other arm at k = 0, 5 and 50." in text
    assert text.count("reptile wins") == len(KS)


def test_an_interval_that_holds_zero_is_not_called_a_win() -> None:
    results = make_results()
    for found in results["differences"]:
        found["low"], found["high"] = -0.2, 0.2
    text = words(report_html(results))
    assert " wins" not in text
    assert "Ahead, but not clearly: fedavg-finetune at k = 0, 5 and 50." in text


def test_report_and_terminal_name_the_same_winners() -> None:
    results = make_results()
    found = [(m, d) for m in ("auroc", "brier") for d in compared(results, m)]
    for (metric, d), sentence in zip(found, verdict(results), strict=True):
        assert sentence.lower().startswith(metric)
        assert f", k = {d['k']}: reptile " in sentence
        assert f"arm, {d['other']} " in sentence
        assert (" is better than " in sentence) == (d["winner"] == "reptile")
        assert (" is worse than " in sentence) == (d["winner"] == d["other"])


def test_losing_to_the_prevalence_alone_is_said() -> None:
    # 20 of 100 test patients are positive: a constant 0.2 has the Brier score 0.2 * 0.8 = 0.16.
    results = make_results()
    assert "is no better than giving" not in words(report_html(results))
    for found in results["rows"]:
        if (found["arm"], found["metric"], found["k"]) == ("reptile", "brier", 5):
            found["mean"] = 0.17
    text = words(report_html(results))
    assert "At k = 5 reptile is no better than giving every patient the prevalence (0.160)." in text


def test_learning_curve_is_labelled_as_validation_and_untuned() -> None:
    text = words(report_html(make_results()))
    assert "Mean over validation tasks" in text
    assert f"adaptation to {CURVE_K} labelled patients" in text
    assert "untuned" in text


def test_with_one_task_nothing_is_called_clear() -> None:
    results = make_results()
    results["differences"] = [d | {"low": None, "high": None} for d in results["differences"]]
    text = words(report_html(results))
    assert "there is no interval, so nothing can be called clear" in text
    assert " wins" not in text


def test_fedavg_itself_can_be_under_test() -> None:
    results = make_results(ARMS[:4])
    results["study"]["algorithm"]["name"] = "fedavg"
    results["differences"] = [
        found | {"arm": "fedavg"} for found in results["differences"] if found["minus"] != "fedavg"
    ]
    text = words(report_html(results))
    assert "The algorithm under test. One model that the training sites made" in text
    assert {d["other"] for d in compared(results, "auroc")} == {"fedavg-finetune"}


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("few-shot", "at a site that had taken no part"),
        ("personalised", "a patient group that its site had kept out of training"),
        ("cross-domain", "a diagnosis that no site had trained on"),
    ],
)
def test_the_scenario_is_told_in_words(scenario: str, said: str) -> None:
    assert said in words(report_html(make_results() | {"scenario": scenario}))


def test_results_are_left_as_they_were() -> None:
    results = make_results()
    report_html(results)
    assert results == make_results()
