"""Who is asked in a turn: a site that drops out rests, longer each time, and never for good."""

from server.attendance import Attendance

MEMBERS = ("Ash", "Birch", "Cedar", "Elm", "Fir")


def asked(attendance: Attendance, turns: int, least: int = 3) -> list[bool]:
    """Whether Birch is asked in each of some turns, all of which it misses."""
    found = []
    for turn in range(turns):
        found.append("Birch" in attendance.asked(MEMBERS, turn, least))
        if found[-1]:
            attendance.note(turn, (), {"Birch": "deadline"})
    return found


def test_rests_double_up_to_eight_turns() -> None:
    turns = [i for i, there in enumerate(asked(Attendance(), 40)) if there]
    # Asked in turn 0, after 1 turn of rest in 2, after 2 in 5, after 4 in 10, then after 8 each.
    assert turns == [0, 2, 5, 10, 19, 28, 37]


def test_an_answer_makes_up_for_all_misses() -> None:
    attendance = Attendance()
    asked(attendance, 6)
    attendance.note(10, ["Birch"], {})
    attendance.note(11, (), {"Birch": "error-2 planted"})
    assert "Birch" not in attendance.asked(MEMBERS, 12, 3)
    assert "Birch" in attendance.asked(MEMBERS, 13, 3)


def test_who_rests_is_asked_all_the_same_if_too_few_are_left() -> None:
    attendance = Attendance()
    attendance.note(0, (), {"Birch": "deadline", "Cedar": "deadline", "Elm": "error-2 no-session"})
    assert attendance.asked(MEMBERS, 1, 2) == ("Ash", "Fir")
    assert attendance.asked(MEMBERS, 1, 3) == ("Ash", "Birch", "Cedar", "Fir")
    assert attendance.left(MEMBERS) == ("Ash", "Birch", "Cedar", "Fir")


def test_a_phase_that_closed_early_is_no_miss() -> None:
    attendance = Attendance()
    attendance.note(0, (), {"Birch": "closed"})
    assert attendance.asked(MEMBERS, 1, 3) == MEMBERS
