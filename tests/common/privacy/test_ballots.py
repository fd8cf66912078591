from typing import Any

from common.privacy.ballots import ballots_of, voted_digest
from common.privacy.histograms import Declared
from common.study import Study
from tests.private_study import private

TASKS = [{"name": name, "column": name} for name in ("gout", "anaemia", "asthma")]


def voters(**classes: list[int]) -> list[dict[str, Any]]:
    return [{"name": f"S{i}", "patients": 2000, "classes": classes} for i in range(3)]


def study(sites: list[dict[str, Any]], releases: int) -> Study:
    return private(tasks=TASKS, sites=sites, evaluation={"metric_releases": releases})


def test_tasks_are_measured_in_the_studys_order_as_far_as_releases_go() -> None:
    sites = voters(asthma=[90, 10], gout=[50, 50], anaemia=[20, 80])
    ballots = ballots_of(study(sites, 2))
    assert [(b.release, b.task) for b in ballots.planned] == [(1, "gout"), (2, "anaemia")]
    assert ballots.planned[1].declared == dict.fromkeys(("S0", "S1", "S2"), Declared(20, 80))
    assert ballots.refused == {"asthma": "all 2 releases go to the tasks before it"}


def test_a_task_of_too_few_sites_or_patients_takes_up_no_release() -> None:
    two = voters(gout=[50, 9], anaemia=[20, 80], asthma=[90, 10])[:2]
    third = voters(gout=[50, 50], anaemia=[20, 80])[2:]
    ballots = ballots_of(study(two + third, 3))
    assert [(b.release, b.task) for b in ballots.planned] == [(1, "anaemia")]
    assert "fewer than 10" in ballots.refused["gout"]
    assert "2 sites" in ballots.refused["asthma"]


def test_nothing_is_measured_unless_the_study_says_so() -> None:
    ballots = ballots_of(study(voters(gout=[50, 50]), 0))
    assert not ballots.planned
    assert not ballots.refused


def test_a_release_is_of_one_task_and_one_theta() -> None:
    hashes = {voted_digest(t, theta) for t in ("gout", "goutt") for theta in (b"", b"t", b"tt")}
    assert len(hashes) == 6
