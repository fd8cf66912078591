import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mapping.reading import Reading, read_patients
from client.table import patients_by_site
from common.errors import SettingsError, TableError
from tests.client.mapping.hospital import WHERE, WRONG_ENCODING, Fake, site, study, ward

EXCLUDE = {"impossible": "exclude", "duplicates": "exclude"}
SECRET = "4711.25"


def read(
    table: Mapping[str, Sequence[Any]], *, units: dict[str, str] | None = None, **settings: Any
) -> Reading:
    return read_patients(Fake(table, units=units), site(**settings), study())


def refusal(table: Mapping[str, Sequence[Any]], **settings: Any) -> str:
    with pytest.raises((TableError, SettingsError)) as caught:
        read(table, **settings)
    return str(caught.value)


def column(study_name: str, local: str, **rule: Any) -> dict[str, Any]:
    return {"study": study_name, "local": local, **rule}


def test_a_ward_in_the_study_s_own_columns_is_read_as_it_stands() -> None:
    found = read(ward())
    assert (found.rows, len(found.frame), found.excluded) == (8, 8, {})
    assert found.frame["age"].tolist()[:3] == [50.0, 61.0, 42.0]
    assert np.isnan(found.frame["age"][3])
    assert found.frame["smokes"].tolist()[:5] == [1, 0, 0, 1, 0]
    assert found.frame["icd"].tolist()[:2] == ["I21", "I50"]


def test_types_are_compact() -> None:
    frame = read(ward()).frame
    assert {str(frame[name].dtype) for name in ("age", "sbp", "chol", "smokes")} == {"float32"}
    assert {str(frame[name].dtype) for name in ("sex", "icd")} == {"category"}


def test_what_is_read_becomes_the_study_s_patients() -> None:
    frame = read(ward()).frame
    patients = patients_by_site(frame, study(), where=WHERE, site="Ash")["Ash"]
    plain = patients_by_site(pd.DataFrame(ward()), study(), where=WHERE, site="Ash")["Ash"]
    assert patients.x == pytest.approx(plain.x, abs=1e-5)
    assert (patients.labels == plain.labels).all()


def test_columns_are_renamed_converted_and_recoded() -> None:
    rows = ward(
        Alter=[50.0] * 8,
        RR=["16.0", "17,5"] * 4,
        Chol=["5.5", "-9"] * 4,
        geschlecht=[1, 2] * 4,
        smokes=["x", "no"] * 4,
    )
    rules = [
        column("age", "Alter"),
        column("sbp", "RR", unit="kPa", values={"17,5": 17.5}),
        column("chol", "Chol", unit="mmol/L", missing=[-9]),
        column("sex", "geschlecht", values={"1": "M", "2.0": "F"}),
        column("smokes", "smokes", values={"x": 1}),
    ]
    frame = read(rows, columns=rules).frame
    assert frame["sbp"].tolist()[:2] == pytest.approx([120.0, 131.26], abs=0.02)  # 16 / 0.133322
    assert frame["chol"][0] == pytest.approx(212.67, abs=0.01)  # 5.5 * 386.664 / 10
    assert np.isnan(frame["chol"][1])
    assert frame["sex"].tolist()[:2] == ["M", "F"]
    assert frame["smokes"].tolist()[:2] == [1.0, 0.0]


def test_the_source_s_own_unit_counts_where_the_rule_names_none() -> None:
    rows = ward(sbp=["16"] * 8)
    found = read(rows, units={"sbp": "kPa"})
    assert found.frame["sbp"][0] == pytest.approx(120.0, abs=0.1)
    ruled = read(ward(), units={"sbp": "kPa"}, columns=[column("sbp", "sbp", unit="mm[Hg]")])
    assert ruled.frame["sbp"][0] == 120.0


def test_marks_of_a_missing_entry_hold_in_text_and_in_numbers() -> None:
    for marked in (["?", "-9", "120", "120"] * 2, [-9.0, -9, 120, 120] * 2):
        found = read(ward(sbp=marked), rows={"missing": ["?", -9]})
        assert found.frame["sbp"].isna().tolist() == [True, True, False, False] * 2


def test_a_mark_of_one_column_is_an_entry_of_another() -> None:
    rows = ward(chol=[0] * 8, smokes=[0] * 8)
    frame = read(rows, columns=[column("chol", "chol", missing=[0])]).frame
    assert frame["chol"].isna().all()
    assert (frame["smokes"] == 0).all()


def test_a_renamed_column_is_refused_by_both_names() -> None:
    text = refusal(ward(), columns=[column("sbp", "RRsyst")])
    assert "column sbp of the study needs column RRsyst here, which is not there" in text
    assert "it may have been renamed: `wardround node map`" in text.replace("; ", ": ", 1)


def test_a_missing_column_without_a_rule_is_refused() -> None:
    rows = ward()
    del rows["chol"], rows["sbp"]
    text = refusal(rows)
    assert "column sbp of the study needs column sbp here, which is not there, and 1 more" in text
    assert "no rule in [[columns]]" in text


def test_a_table_without_header_is_refused_without_its_first_row() -> None:
    rows = {"63.0": ["1"], "1": ["1"], "?": ["1"], SECRET: ["1"], "icd": ["1"]}
    text = refusal(rows)
    assert "the first row looks like a patient's" in text
    assert SECRET not in text


IMPOSSIBLE = ward(
    age=["50", "999", SECRET + "x", "30", "40", "50", "60", "70"],
    sbp=["120", "1", "120", "2.1.2020", "120", "120", "120", "120"],
)


def test_impossible_entries_are_refused_unless_the_hospital_says_otherwise() -> None:
    text = refusal(IMPOSSIBLE)
    assert "column age has 1 entry with no number, the first in row 3" in text
    assert "and 3 more; `wardround node check` lists them" in text


def test_impossible_entries_can_become_missing() -> None:
    found = read(IMPOSSIBLE, rows={"impossible": "missing"})
    assert found.frame["age"].isna().tolist() == [False, True, True] + [False] * 5
    assert found.frame["sbp"].isna().tolist() == [False, True, False, True] + [False] * 4
    assert not found.excluded
    assert {name: sum(n.values()) for name, n in found.impossible.items() if n} == {
        "age": 2,
        "sbp": 2,
    }


def test_a_row_with_two_impossible_entries_is_excluded_and_counted_once() -> None:
    found = read(IMPOSSIBLE, rows=EXCLUDE)
    assert found.excluded == {"impossible value in age": 2, "impossible value in sbp": 1}
    assert found.rows == len(found.frame) + sum(found.excluded.values())
    assert found.frame["patient_id"].tolist() == ["p0", "p4", "p5", "p6", "p7"]


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


TWICE = ward(patient_id=["p0", "p1", "p0", "p3", "p4", "p5", "p6", " p0"])


def test_duplicate_patients_are_refused_unless_the_hospital_says_otherwise() -> None:
    assert "3 rows share their patient (column patient_id) with another row" in refusal(TWICE)


def test_all_rows_of_a_duplicate_patient_can_be_left_out_across_chunks() -> None:
    found = read(TWICE, rows=EXCLUDE)
    assert found.excluded == {"duplicate patient": 3}
    assert found.frame["patient_id"].tolist() == ["p1", "p3", "p4", "p5", "p6"]


def test_a_duplicate_stays_one_if_its_other_row_is_impossible() -> None:
    rows = TWICE | {"age": ["999"] + ["50"] * 7}
    assert read(rows, rows=EXCLUDE).excluded == {"duplicate patient": 3}


def test_a_number_as_name_is_the_same_patient_in_a_chunk_with_an_empty_one() -> None:
    names = [7, 8, 9, 7.0, float("nan"), 10, "11", "12"]
    found = read(ward(patient_id=names), rows=EXCLUDE)
    assert found.excluded == {"duplicate patient": 2, "no patient name": 1}


def test_a_row_without_name_is_refused_or_left_out() -> None:
    rows = ward(patient_id=["p0", "", *(f"p{i}" for i in range(2, 8))])
    assert "column patient_id has 1 entry without a name" in refusal(rows)
    assert read(rows, rows={"impossible": "missing"}).excluded == {"no patient name": 1}


def test_if_nobody_is_left_the_reasons_are_told() -> None:
    rows = ward(patient_id=["p0"] * 8)
    assert "no row is left: 8 duplicate patient" in refusal(rows, rows=EXCLUDE)


def test_a_wrong_encoding_is_the_source_s_to_tell() -> None:
    with pytest.raises(TableError, match="not valid utf-8-sig"):
        read_patients(Fake(ward(), fail=(1, WRONG_ENCODING)), site(), study())


def test_a_driver_s_text_is_not_passed_on() -> None:
    error = UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, f"bad {SECRET}")
    with pytest.raises(TableError) as caught:
        read_patients(Fake(ward(), fail=(1, error)), site(), study())
    assert "reading failed after 3 rows: UnicodeDecodeError" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_unit_that_nobody_knows_is_refused_with_the_column() -> None:
    text = refusal(ward(), columns=[column("sbp", "sbp", unit="furlong")])
    assert "'furlong' is not known" in text
    assert "column sbp of the study, here sbp" in text


class Endless(Fake):
    """Fifty million rows, made as they are asked for."""

    closed = False

    def chunks(self, columns: Sequence[str], *, rows: int = 50_000) -> Iterator[pd.DataFrame]:
        index = np.arange(rows) % len(self.rows["age"])
        chunk = pd.DataFrame({c: pd.Series(self.rows[c]).to_numpy()[index] for c in columns})
        try:
            for start in range(0, 50_000_000, rows):
                self.given += 1
                yield chunk.assign(patient_id=[f"{start + i}" for i in range(rows)])
        finally:
            self.closed = True


def test_fifty_million_rows_are_refused_early_and_in_bounded_memory() -> None:
    source = Endless(ward())
    tracemalloc.start()
    with pytest.raises(TableError, match="more than 200,000 rows"):
        read_patients(source, site(rows={"max_rows": 200_000}), study())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.given == 5
    assert source.closed  # at once: its file and its threads are not left to the end of the process
    assert peak < 100e6


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


def test_a_column_that_the_hospital_has_not_is_missing_for_everyone() -> None:
    rows = ward()
    del rows["chol"], rows["sex"]
    none = [column("chol", ""), column("sex", "")]
    frame = read(rows, columns=none).frame
    assert frame["chol"].isna().all()
    assert frame["sex"].isna().all()
    assert str(frame["chol"].dtype) == "float32"
    assert "needs column  here" in refusal(rows, columns=[*none, column("patient_id", "")])


def test_a_column_of_lists_is_refused_without_its_entries() -> None:
    text = refusal(ward(chol=[[SECRET]] * 8))
    assert "column chol cannot be read: TypeError" in text
    assert SECRET not in text


def test_a_name_beyond_the_whole_numbers_stays_what_it_is() -> None:
    names = [1e300, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert read(ward(patient_id=names)).frame["patient_id"][4] == "5"
    assert read(ward(patient_id=names)).frame["patient_id"][0] == "1e+300"


def test_a_study_without_a_unit_asks_for_none() -> None:
    asked = study(features=[{"name": "score", "usual": [0, 10]}])
    source = Fake(ward(score=["1"] * 8), units={"score": "{points}"})
    assert read_patients(source, site(), asked).frame["score"].tolist() == [1.0] * 8
