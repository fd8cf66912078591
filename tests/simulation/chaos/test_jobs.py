"""Which cases federations at the same time take."""

from pathlib import Path
from time import monotonic

from simulation.chaos.cases import KINDS, draw_cases
from simulation.chaos.jobs import Jobs
from simulation.chaos.studies import PROFILES


def test_as_many_federations_as_profiles_have_one_of_each_and_go_on_with_it(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, draw_cases(len(KINDS) * len(PROFILES), 0), monotonic() + 600)
    first = [jobs._next("") for _ in PROFILES]
    assert sorted(case.profile for case in first if case) == sorted(PROFILES)
    again = jobs._next("masked")
    assert again is not None
    assert (again.profile, again.seed) == ("masked", 2 * len(KINDS) + 1)


def test_every_case_is_taken_once_and_none_after_the_time(tmp_path: Path) -> None:
    cases = draw_cases(len(KINDS) + 5, 0)
    jobs = Jobs(tmp_path, cases, monotonic() + 600)
    taken = [jobs._next("") for _ in cases]
    assert sorted(case.seed for case in taken if case) == list(range(len(cases)))
    assert jobs._next("") is None
    assert Jobs(tmp_path, cases, monotonic() - 1)._next("") is None
