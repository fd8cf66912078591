import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from simulation import report
from simulation.report import report_html
from simulation.report_lists import MOST
from simulation.scoring import CURVE_K
from simulation.verdict import compared, verdict

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
    names = [f"{SITE} / sepsis", f"{SITE} / stroke"]
    attempt = {"round_index": 1, "attempt": 1, "closed": True, "accepted": ["a", "b"]}
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
        "settings": {
            "dataset": "synthetic",
            "scenario": "few-shot",
            "seed": 0,
            "held-out": "St Mary's;b",
            "rounds": 2,
            "sites": 0,
        },
        "versions": {"wardround": "0.1.0"},
        "dataset": "synthetic",
        "scenario": "few-shot",
        "note": "Nobody here is real.",
        "privacy": {
            "profile": "masked",
            "private": False,
            "gives": "Sums only.",
            "lacks": "Liars bend <the> sum.",
            "epsilon": {"a": {"replace_one": 3.995, "zero_out": 2.108, "delta": 1e-5}},
            "unknown": "",
        },
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
        "held_out": [
            {
                "held_out": name,
                "site": SITE,
                "group": "",
                "task": name.split(" / ")[1],
                "patients": 200,
                "positive": 40,
                "test_patients": 100,
                "test_positive": 20,
                "can_be_labelled": 100,
            }
            for name in names
        ],
        "not_scored": [{"held_out": f"{SITE} / gout", "why": "2 of the rarer class"}],
        "choices": [{"arm": "reptile", "k": 5, "rate_scale": 0.3, "steps": 20}],
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


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(make_results())


@pytest.fixture(autouse=True)
def blank_pictures(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing, which takes a second, to `page` and to test_figures.py."""
    for name in ("adaptation_curves", "difference_curves", "learning_curves"):
        monkeypatch.setattr(report, name, lambda results: "<svg></svg>")


def words(page: str) -> str:
    """Return the text that a reader sees, pictures left out."""
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_page_stands_alone(page: str) -> None:
    assert page.count("<svg") == 3
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b|@import|\bon\w+=", page)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s<)]*", page)) <= namespaces
    assert all(target.startswith("#") for target in re.findall(r"href=\"([^\"]*)", page))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page))


def test_same_results_give_the_same_bytes(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert report_html(make_results()) == page


def test_every_id_in_the_page_is_unique_and_every_reference_has_its_target(page: str) -> None:
    ids = re.findall(r"\bid=\"([^\"]*)\"", page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:href=\"|url\()#([^\")]*)", page)) <= set(ids)


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


def test_the_best_of_each_column_is_bold_and_the_truth_does_not_compete() -> None:
    page = report_html(make_results((*ARMS, "truth")))
    means = page[page.index("<h2>All held-out tasks") : page.index("<h2>reptile minus")]
    assert set(re.findall(r"<strong>([^<]*)", means)) == {"0.900", "0.100"}
    assert "<th>truth</th><td>0.990" in means


def test_the_truth_is_never_named_as_the_best_other_arm() -> None:
    results = make_results((*ARMS, "truth"))
    assert {d["other"] for d in compared(results, "auroc")} == {"fedavg-finetune"}
    assert "which no method can know" in words(report_html(results))
    assert "which no method can know" not in words(report_html(make_results()))


def test_k_per_class_is_labelled_secondary() -> None:
    text = words(report_html(make_results()))
    assert "Secondary: k labelled patients of each class" in text
    assert "not what a ward meets" in text
    assert text.count("Secondary. ") == 2
    assert text.index("What this run says") < text.index("k = 10 of each class")


def test_learning_curve_is_labelled_as_validation_and_untuned() -> None:
    text = words(report_html(make_results()))
    assert "Mean over validation tasks" in text
    assert f"adaptation to {CURVE_K} labelled patients" in text
    assert "untuned" in text


SHORT = f"{SITE} / stroke"
MISSING: list[tuple[str, Callable[[dict[str, Any]], bool], str]] = [
    ("learning_curve", lambda row: False, "There is no curve"),
    ("rows_per_class", lambda row: False, "mean over 0 tasks, 95 % interval: there is none."),
    ("choices", lambda row: False, "number of steps: there is none."),
    ("not_scored", lambda row: False, "None: all held-out tasks are scored."),
    ("differences", lambda row: False, "95 % interval over tasks: there is none."),
    ("rows", lambda row: row["k"] != 50, "No task has enough patients for k = 50."),
    ("rows", lambda row: row["held_out"] != "all", "no task is scored at every k."),
    (
        "rows",
        lambda row: (row["held_out"], row["k"]) != (SHORT, 50),
        f"Too few patients for every k, so not in the means: {SHORT}.",
    ),
]


@pytest.mark.parametrize(("part", "stays", "said"), MISSING)
def test_what_is_missing_is_said_to_be_missing(
    part: str, stays: Callable[[dict[str, Any]], bool], said: str
) -> None:
    results = make_results()
    results[part] = [row for row in results[part] if stays(row)]
    assert said in words(report_html(results))


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


def test_rounds_are_counted_and_dropped_sites_are_counted_by_reason() -> None:
    text = words(report_html(make_results()))
    assert "2 of 2 rounds closed, each with the updates of 1 to 2 sites (median 1.5)." in text
    assert "1 attempt at a round failed." in text
    assert f"deadline 2 {SITE} (2)" in text


def test_the_command_has_the_given_settings_and_no_defaults() -> None:
    text = words(report_html(make_results()))
    assert (
        "wardround simulate --dataset synthetic --scenario few-shot --seed 0 "
        """--held-out 'St Mary'"'"'s' --held-out b --rounds 2 study id"""
    ) in text


def test_tables_show_three_decimals_and_a_true_minus() -> None:
    # AUROC: reptile 0.85, fedavg-finetune 0.90, interval 0.01 either way.
    text = words(report_html(make_results()))
    minus = "\N{MINUS SIGN}"
    assert f"{minus}0.050 {minus}0.060 to {minus}0.040 worse" in text


def test_results_are_left_as_they_were() -> None:
    results = make_results()
    report_html(results)
    assert results == make_results()


def test_sites_that_could_not_train_are_named(page: str) -> None:
    assert "tiny ward" in page


def test_ten_thousand_sites_make_a_page_that_can_be_read() -> None:
    """Without pictures, two held-out tasks take 30 kB; sites and tasks in full would take 3 MB."""
    results, sites = make_results(), [f"site-{i:05d}" for i in range(10_000)]
    task = {"task": "sepsis", "patients": 90, "positive": 9}
    results["training"] = [task | {"site": site} for site in sites]
    results["idle_sites"] = sites
    results["not_scored"] = [
        {"held_out": f"{site} / {n}", "why": "not drawn"} for site in sites for n in range(3)
    ]
    results["rounds"] = [
        attempt | {"accepted": sites, "dropped": dict.fromkeys(sites, "deadline")}
        for attempt in results["rounds"]
    ]
    page = report_html(results)
    assert len(page) < 60_000
    text = words(page)
    for said in (
        "In this simulation 10,000 sites used reptile",
        "10,000 sites trained, each on 1 task.",
        "not drawn 30,000 ",
        "the updates of 10,000 sites",
        "10,000 sites, each 3 times",
    ):
        assert said in text


def test_of_very_many_scored_tasks_the_first_are_shown() -> None:
    results = make_results()
    (held, _) = results["held_out"]
    results["held_out"] = [held | {"held_out": f"{SITE} / {n}"} for n in range(1000)]
    page = report_html(results)
    assert page.count('<section class="task">') == MOST
    assert f"And {1000 - MOST} tasks more. results.json lists every one" in words(page)


def test_privacy_names_profile_price_and_what_is_not_protected() -> None:
    text = report_html(make_results())
    assert "Profile masked." in text
    assert "Liars bend &lt;the&gt; sum." in text
    assert "3.99" in text or "4.00" in text
    assert "whoever knows the seed can take it off" in text


def test_without_an_epsilon_the_report_says_why() -> None:
    results = make_results()
    results["privacy"] |= {"epsilon": {}, "unknown": "the study asks for no noise"}
    assert "There is no epsilon: the study asks for no noise." in report_html(results)
