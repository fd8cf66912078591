import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mapping.reading import read_patients
from tests.client.mapping.hospital import SECRET, Fake, column, read, refusal, site, study, ward


def test_types_are_compact() -> None:
    frame = read(ward()).frame
    assert {str(frame[name].dtype) for name in ("age", "sbp", "chol", "smokes")} == {"float32"}
    assert {str(frame[name].dtype) for name in ("sex", "icd")} == {"category"}


def test_marks_of_a_missing_entry_hold_in_text_and_in_numbers() -> None:
    for marked in (["?", "-9", "120", "120"] * 2, [-9.0, -9, 120, 120] * 2):
        found = read(ward(sbp=marked), rows={"missing": ["?", -9]})
        assert found.frame["sbp"].isna().tolist() == [True, True, False, False] * 2


def test_a_mark_of_one_column_is_an_entry_of_another() -> None:
    rows = ward(chol=[0] * 8, smokes=[0] * 8)
    frame = read(rows, columns=[column("chol", "chol", missing=[0])]).frame
    assert frame["chol"].isna().all()
    assert (frame["smokes"] == 0).all()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("2021-03-04", "with a date, not a number"),
        ("2021-03-04 12:30:00", "with a date, not a number"),  # without a timezone
        ("4,5", "with a decimal comma"),
        ("<0.1", "with a limit"),
        ("many", "with no number"),
        ("Infinity", "with an infinite number"),
    ],
)
def test_the_reason_says_what_to_mend(entry: str, words: str) -> None:
    text = refusal(ward(chol=["200"] * 7 + [entry]))
    assert words in text
    assert entry not in text
    assert "the first in row 8" in text


def test_dates_without_timezone_in_a_typed_column_are_counted_as_the_policy_says() -> None:
    dates = pd.date_range("2020-01-01", periods=8)
    assert "8 entries with a date" in refusal(ward(chol=list(dates)))
    found = read(ward(chol=list(dates)), rows={"impossible": "missing"})
    assert found.frame["chol"].isna().all()


def test_unknown_categories_and_answers_are_impossible() -> None:
    assert "1 entry that the study does not list" in refusal(ward(sex=["F"] * 7 + ["X"]))
    assert "1 entry other than yes or no" in refusal(ward(smokes=["t"] * 7 + ["X"]))


@given(st.floats(5.0, 9.0), st.floats(0.0, 3.0))
def test_a_value_on_the_edge_of_the_plausible_range_stays_in_it(low: float, width: float) -> None:
    high = low + width
    ph = {"name": "ph", "usual": [7.3, 7.5], "plausible": [low, high]}
    asked = study(features=[ph])
    rows = ward(ph=[low, high] * 4)
    frame = read_patients(Fake(rows), site(), asked).frame
    kept = frame["ph"].to_numpy().astype(np.float64)
    inside = (kept >= low) & (kept <= high)
    # Between two numbers of float32 there may be no third.
    assert inside.all() or width < 1e-6


def test_a_column_of_lists_is_refused_without_its_entries() -> None:
    text = refusal(ward(chol=[[SECRET]] * 8))
    assert "column chol cannot be read: TypeError" in text
    assert SECRET not in text


def test_a_name_beyond_the_whole_numbers_stays_what_it_is() -> None:
    names = [1e300, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert read(ward(patient_id=names)).frame["patient_id"][4] == "5"
    assert read(ward(patient_id=names)).frame["patient_id"][0] == "1e+300"
