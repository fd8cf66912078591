from simulation.chaos.cases import KINDS, LINE, OF_HOSPITALS, SPANS, draw_case, draw_cases

SITES, ROUNDS = ("ash", "birch"), 6


def test_a_seed_gives_the_same_case_whatever_was_drawn_before() -> None:
    cases = draw_cases(5, 40, SITES, ROUNDS)
    assert cases[3] == draw_case(43, SITES, ROUNDS)
    assert cases == draw_cases(5, 40, SITES, ROUNDS)


def test_consecutive_seeds_go_through_every_kind() -> None:
    cases = draw_cases(len(KINDS), 17, SITES, ROUNDS)
    assert {(case.fault, case.part) for case in cases} == set(KINDS)


def test_a_case_hits_within_the_run_and_a_hospital_only_where_that_is_meant() -> None:
    for case in draw_cases(200, 0, SITES, ROUNDS):
        assert 0 <= case.after < ROUNDS
        assert 0 <= case.fraction < 1
        shortest, longest = SPANS[case.fault]
        assert shortest <= case.seconds <= longest
        assert (case.site in SITES) == (case.part in (*OF_HOSPITALS, LINE))


def test_all_rounds_and_hospitals_are_hit_by_some_case() -> None:
    cases = draw_cases(200, 0, SITES, ROUNDS)
    assert {case.after for case in cases} == set(range(ROUNDS))
    assert {case.site for case in cases} == {"", *SITES}
