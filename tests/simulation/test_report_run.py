"""What the report says of sites, rounds and the command that made it."""

import pytest

from simulation.report import report_html
from tests.pages import words
from tests.simulation.small_results import SITE, make_results

pytestmark = pytest.mark.usefixtures("no_pictures")


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
