import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pytest

from client.mapping.reading import read_patients
from client.table import patients_by_site
from common.errors import TableError
from tests.client.mapping.hospital import (
    SECRET,
    WHERE,
    WRONG_ENCODING,
    Fake,
    read,
    refusal,
    site,
    study,
    ward,
)

EXCLUDE = {"impossible": "exclude", "duplicates": "exclude"}


def test_a_ward_in_the_study_s_own_columns_is_read_as_it_stands() -> None:
    found = read(ward())
    assert (found.rows, len(found.frame), found.excluded) == (8, 8, {})
    assert found.frame["age"].tolist()[:3] == [50.0, 61.0, 42.0]
    assert np.isnan(found.frame["age"][3])
    assert found.frame["smokes"].tolist()[:5] == [1, 0, 0, 1, 0]
    assert found.frame["icd"].tolist()[:2] == ["I21", "I50"]


def test_what_is_read_becomes_the_study_s_patients() -> None:
    frame = read(ward()).frame
    patients = patients_by_site(frame, study(), where=WHERE, site="Ash")["Ash"]
    plain = patients_by_site(pd.DataFrame(ward()), study(), where=WHERE, site="Ash")["Ash"]
    assert patients.x == pytest.approx(plain.x, abs=1e-5)
    assert (patients.labels == plain.labels).all()


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
