"""The code of an invitation: it survives being copied, and a typo is told."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.invitation import PREFIX, Invitation

FIRST = Invitation("wards.example:8443", "ab" * 32, bytes(range(20)))


def test_a_code_is_one_word_that_says_everything() -> None:
    assert FIRST.code.isalnum()
    assert Invitation.read(FIRST.code) == FIRST


@pytest.mark.parametrize(
    "spoil", [str.lower, lambda c: "\n ".join(c), lambda c: f" {c[:9]}-{c[9:]}"]
)
def test_case_blanks_and_line_breaks_do_not_matter(spoil: object) -> None:
    assert callable(spoil)
    assert Invitation.read(spoil(FIRST.code)) == FIRST


@given(st.integers(0), st.sampled_from(string.ascii_uppercase + string.digits))
def test_one_wrong_letter_is_told(place: int, letter: str) -> None:
    code = FIRST.code
    place = len(PREFIX) + place % (len(code) - len(PREFIX))
    wrong = code[:place] + letter + code[place + 1 :]
    if wrong == code:
        return
    try:
        # The last letter holds bits that say nothing.
        assert Invitation.read(wrong) == FIRST
        assert place == len(code) - 1
    except SettingsError as error:
        assert error.where == "invitation"  # noqa: PT017 - either outcome is right


@given(st.text(max_size=300) | st.text("ABCDEFG234567=", max_size=300).map(PREFIX.__add__))
def test_whatever_is_no_code_raises_one_kind_of_error(code: str) -> None:
    with pytest.raises(SettingsError):
        Invitation.read(code)


@pytest.mark.parametrize(
    "address", ["a", "user@a:1", "a:1/x", "a:99999", "a:1?b", "a b:1", ":1", ""]
)
def test_a_code_that_names_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"names no coordinator|missing"):
        Invitation.read(Invitation(address, "ab" * 32, bytes(20)).code)


def test_a_shortened_code_is_told() -> None:
    for length in range(len(FIRST.code)):
        with pytest.raises(SettingsError):
            Invitation.read(FIRST.code[:length])
