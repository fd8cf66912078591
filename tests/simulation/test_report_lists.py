from collections.abc import Iterable
from typing import Any

import pytest

from common.pages import SPACE, Html
from simulation import report_lists, report_run
from simulation.report_lists import FIRST, MOST, MOST_TASKS, named, span, spread
from tests import pages


def words(parts: Iterable[Html]) -> str:
    return pages.words(" ".join(parts))


def names(n: int) -> list[str]:
    return [f"site-{i:04d}" for i in range(n)]


def training(sites: int) -> list[dict[str, Any]]:
    """Sepsis at every site, gout at all but the first; site i has 100 + i patients, 10 + i ill."""
    return [
        {"site": site, "task": task, "patients": 100 + i, "positive": 10 + i}
        for i, site in enumerate(names(sites))
        for task in ("sepsis", "gout")
        if i or task == "sepsis"
    ]


def test_names_are_all_there_up_to_the_limit_and_the_first_beyond_it() -> None:
    assert named(["a", "b", "c"], ", ", most=3) == "a, b, c"
    assert named(names(MOST)).count("site-") == MOST
    assert named(names(MOST + 1)) == "; ".join([*names(FIRST), f"and {MOST + 1 - FIRST} more"])


def test_equal_numbers_are_one_number() -> None:
    assert span([7, 7]) == spread([7, 7]) == "7"
    assert span([1, 1200]) == "1 to 1,200"
    # The median of 1, 4 and of 1, 2, 1234567 with thousands; no exponent.
    assert spread([1, 4]).replace(SPACE, " ") == "1 / 2.5 / 4"
    assert spread([1234567, 1, 1234567]).replace(SPACE, " ") == "1 / 1,234,567 / 1,234,567"


def test_few_training_sites_are_a_row_each() -> None:
    page = words(report_lists.trained(training(MOST)))
    assert "site-0000 1 sepsis 10/100 site-0001 2 sepsis 11/101; gout 11/101" in page
    assert page.count("site-") == MOST
    assert "results.json" not in page


def test_many_training_sites_are_numbers_for_each_diagnosis() -> None:
    # 61 sites: patients 100 to 160, positives 10 to 70. Sepsis: 61 * 40 / (61 * 130) = 30.8 %.
    # Gout has not the first: from 101 and 11 on, medians 130.5 and 40.5, 40.5 / 130.5 = 31.0 %.
    page = words(report_lists.trained(training(MOST + 1)))
    assert f"{MOST + 1} sites trained, each on 1 to 2 tasks (median 2)." in page
    assert "sepsis 61 100 / 130 / 160 10 / 40 / 70 30.8%" in page
    assert "gout 60 101 / 130.5 / 160 11 / 40.5 / 70 31.0%" in page
    assert "results.json lists every one, under 'training'." in page
    assert "site-" not in page


def test_many_sites_that_could_not_train_are_counted() -> None:
    results = {"training": training(2), "idle_sites": names(5000)}
    page = words(report_run.training(results))
    assert "site-0003, site-0004, and 4,995 more." in page
    assert "under 'idle_sites'" in page


def test_many_tasks_that_are_not_scored_are_counted_for_each_reason() -> None:
    rows = [{"held_out": f"{site} / gout", "why": "not drawn"} for site in names(20_000)]
    rows.append({"held_out": "Elm / gout", "why": "too few"})
    page = words(report_run.not_scored({"not_scored": rows}))
    assert "not drawn 20,000 site-0000 / gout; site-0001 / gout;" in page
    assert "; and 19,995 more too few 1 Elm / gout results.json lists every one" in page
    some = report_run.not_scored({"not_scored": rows[:MOST_TASKS]})
    assert words(some).endswith(f"site-{MOST_TASKS - 1:04d} / gout")


def happened(dropped: list[dict[str, str]], accepted: int) -> str:
    attempt = {"closed": True, "accepted": names(accepted), "seconds": 1.0}
    rounds = [attempt | {"dropped": sites} for sites in dropped]
    results = {"rounds": rounds, "study": {"server": {"rounds": len(rounds)}}}
    return words(report_run.what_happened(results))


def test_of_many_dropped_sites_those_dropped_most_often_are_named() -> None:
    first = dict.fromkeys(names(3000), "deadline")
    page = happened([first, {"site-2999": "deadline"}], accepted=6000)
    assert "the updates of 6,000 sites (median 6,000)" in page
    assert "deadline 3,001 3,000 sites, each 1 to 2 times: site-2999 (2); site-0000 (1)" in page
    assert "; and 2,995 more results.json lists every one, under 'rounds'." in page


@pytest.mark.parametrize("sites", [1, MOST])
def test_few_dropped_sites_are_all_named_in_order(sites: int) -> None:
    page = happened([dict.fromkeys(names(sites), "deadline")], accepted=2)
    assert page.endswith("; ".join(f"{name} (1)" for name in names(sites)))
