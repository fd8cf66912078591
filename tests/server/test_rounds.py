import pytest

from common.study_sections import ServerSettings
from server.rounds import draw_cohort

SITES = [f"site-{i:02}" for i in range(20)]


def test_all_sites_are_asked_unless_fewer_are_wanted() -> None:
    for wanted in (0, 20, 99):
        server = ServerSettings(sites_per_round=wanted)
        assert draw_cohort(SITES, server, seed=0, round_index=1) == SITES


def test_a_cohort_is_drawn_anew_each_round_from_the_seed_alone() -> None:
    server = ServerSettings(sites_per_round=5)
    cohorts = [draw_cohort(SITES, server, seed=7, round_index=r) for r in range(1, 200)]
    assert all(len(set(c)) == 5 and c == sorted(c) for c in cohorts)
    assert cohorts == [draw_cohort(SITES, server, seed=7, round_index=r) for r in range(1, 200)]
    # Each site is in a quarter of 199 rounds: 50, with a standard deviation of 6.
    counts = [sum(site in cohort for cohort in cohorts) for site in SITES]
    assert max(abs(count - 50) for count in counts) < 30


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_draws_another_cohort(seed: int) -> None:
    server = ServerSettings(sites_per_round=5)
    assert draw_cohort(SITES, server, seed=0, round_index=1) != draw_cohort(
        SITES, server, seed=seed, round_index=1
    )
