from simulation.chaos.cases import (
    CLOCK,
    KINDS,
    LINE,
    OF_HOSPITALS,
    PAIR,
    SPANS,
    draw_case,
    draw_cases,
)
from simulation.chaos.studies import PROFILES, ROUNDS, SITES


def test_a_seed_gives_the_same_case_whatever_was_drawn_before() -> None:
    cases = draw_cases(5, 40)
    assert cases[3] == draw_case(43)
    assert cases == draw_cases(5, 40)


def test_as_many_seeds_as_kinds_and_profiles_go_through_all_of_both_together() -> None:
    cases = draw_cases(len(KINDS) * len(PROFILES), 0)
    wanted = {(f"{fault} {part}", profile) for fault, part in KINDS for profile in PROFILES}
    wanted = {(PAIR[0] if kind.strip() == PAIR[0] else kind, p) for kind, p in wanted}
    assert {(case.kind, case.profile) for case in cases} == wanted


def test_a_case_hits_within_the_run_and_a_hospital_only_where_that_is_meant() -> None:
    for case in draw_cases(300, 0):
        assert 0 <= case.after < ROUNDS
        assert 0 <= case.fraction < 1
        for strike in case.strikes:
            shortest, longest = SPANS[strike.fault]
            assert shortest <= strike.seconds <= longest
            at_hospital = strike.part in (*OF_HOSPITALS, LINE)
            assert (strike.site in SITES[case.profile]) == at_hospital
            assert bool(strike.jump) == (strike.fault == CLOCK)


def test_two_faults_are_two_and_not_the_same() -> None:
    pairs = [case.strikes for case in draw_cases(300, 0) if case.kind == PAIR[0]]
    assert pairs
    assert all(first.kind != second.kind for first, second in pairs)


def test_all_rounds_and_hospitals_are_hit_by_some_case() -> None:
    cases = draw_cases(300, 0)
    assert {case.after for case in cases} == set(range(ROUNDS))
    hit = {strike.site for case in cases for strike in case.strikes}
    assert hit == {"", *SITES["masked"]}
