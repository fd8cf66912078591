from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.table import patients_by_site, patients_of_one_site, read_table
from common.errors import TableError
from common.features import input_names
from common.patients import MISSING
from common.study import Feature, GroupRule, Study, StudySite, TaskRule

SECRET = "4711.25"  # an entry that no error may quote

STUDY = Study(
    name="chest pain",
    features=(
        Feature(name="age", usual=(20, 80), plausible=(0, 120)),
        Feature(name="smokes", kind="binary"),
        Feature(name="pain", kind="category", categories=(1, 2, "none")),
    ),
    tasks=(
        TaskRule(name="infarction", column="icd", positive=("I21", 410)),
        TaskRule(name="death", column="died"),
    ),
    groups=(GroupRule(column="age", edges=(60,)),),
)


def table(**columns: list[Any]) -> pd.DataFrame:
    """Four patients at two sites; `columns` replaces whole columns."""
    whole: dict[str, list[Any]] = {
        "patient_id": ["p1", "p2", "p3", "p4"],
        "site": ["north", "south", "north", "south"],
        "age": [50, 80, None, 20],
        "smokes": ["t", "f", None, "YES"],
        "pain": ["1", "2.0", "none", None],
        "icd": ["I21", "I50", "410", None],
        "died": [1, 0, 0, 1],
    }
    return pd.DataFrame(whole | columns)


def refusal(frame: pd.DataFrame, study: Study = STUDY, site: str = "") -> str:
    with pytest.raises(TableError) as caught:
        patients_by_site(frame, study, where="patients.csv", site=site)
    message = str(caught.value)
    assert SECRET not in message
    assert "patients.csv" in message
    assert "\n" not in message
    return message


def test_patients_are_encoded_by_site_in_order_of_name() -> None:
    sites = patients_by_site(table(), STUDY, where="t")
    assert list(sites) == ["north", "south"]
    assert input_names(STUDY.features)[:4] == ["age", "age measured", "smokes", "smokes measured"]
    # Usual range 20..80 becomes -2..2, so 50 is 0 and 80 is 2; yes is .5; then three categories.
    assert sites["north"].x.tolist() == [[0, 1, 0.5, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    assert sites["south"].x.tolist() == [[2, 1, -0.5, 1, 0, 1, 0], [-2, 1, 0.5, 1, 0, 0, 0]]
    assert sites["south"].site == "south"


def test_labels_match_numbers_as_numbers_and_text_as_text() -> None:
    sites = patients_by_site(table(), STUDY, where="t")
    assert sites["north"].labels.tolist() == [[1, 1], [1, 0]]  # I21, and "410" for 410
    assert sites["south"].labels.tolist() == [[0, 0], [MISSING, 1]]


@pytest.mark.parametrize(
    "died",
    [
        [True, False, False, True],
        ["1", "0", "0", "1"],
        [1.0, 0.0, 0.0, 1.0],
        ["True", "false", "0.0", " 1 "],
    ],
)
def test_one_label_can_be_written_in_several_ways(died: list[Any]) -> None:
    sites = patients_by_site(table(died=died), STUDY, where="t")
    assert [sites[s].labels[:, 1].tolist() for s in sites] == [[1, 0], [0, 1]]


def test_a_missing_label_is_not_a_negative_one() -> None:
    died: list[Any] = [1, None, float("nan"), 0]
    sites = patients_by_site(table(died=died), STUDY, where="t")
    assert [sites[s].labels[:, 1].tolist() for s in sites] == [[1, MISSING], [MISSING, 0]]
    sites = patients_by_site(table(died=["1", "", " ", "0"]), STUDY, where="t")
    assert sites["north"].labels[:, 1].tolist() == [1, MISSING]


def test_an_implausible_value_counts_as_missing_also_for_the_group() -> None:
    north = patients_by_site(table(age=[455, 80, 30, 20]), STUDY, where="t")["north"]
    assert north.x[0, :2].tolist() == [0, 0]
    assert north.group.tolist() == ["age unknown", "age < 60"]


@pytest.mark.parametrize(
    "answer", ["0", "1", 0, 1, "true", "FALSE", True, "T", "f", "Yes", "NO", 1.0]
)
def test_yes_and_no_can_be_written_in_several_ways(answer: Any) -> None:
    positive = str(answer).lower() in ("1", "1.0", "true", "t", "yes")
    smokes: list[Any] = [answer, "f", "f", "t"]
    north = patients_by_site(table(smokes=smokes), STUDY, where="t")["north"]
    assert north.x[0, 2] == (0.5 if positive else -0.5)


@given(st.permutations(range(4)))
def test_the_order_of_rows_changes_no_patient(order: list[int]) -> None:
    straight = patients_by_site(table(), STUDY, where="t")
    shuffled = patients_by_site(table().iloc[order], STUDY, where="t")
    for site, rows in (("north", [0, 2]), ("south", [1, 3])):
        ranks = [rows.index(row) for row in order if row in rows]
        assert np.array_equal(shuffled[site].x, straight[site].x[ranks])
        assert np.array_equal(shuffled[site].labels, straight[site].labels[ranks])
        assert shuffled[site].group.tolist() == straight[site].group[ranks].tolist()


def test_one_patient_does_not_change_another() -> None:
    with_outlier = patients_by_site(table(age=[50, 119, 1, 20]), STUDY, where="t")
    assert np.array_equal(
        with_outlier["south"].x[1], patients_by_site(table(), STUDY, where="t")["south"].x[1]
    )


def test_a_hospitals_own_table_needs_no_site_column() -> None:
    own = patients_by_site(table().drop(columns="site"), STUDY, where="t", site="west")
    assert list(own) == ["west"]
    assert len(own["west"]) == 4


def test_a_hospitals_own_table_may_lack_one_diagnosis_but_not_all() -> None:
    frame = table(died=[0, 0, 0, 0]).drop(columns="site")
    assert list(patients_by_site(frame, STUDY, where="t", site="west")) == ["west"]
    none = frame.assign(icd="I50")
    assert "task infarction" in refusal(none, site="west")


def test_another_hospitals_rows_are_refused() -> None:
    message = refusal(table(), site="north")
    assert "column site has 2 entries naming another site than north, the first in row 2" in message
    assert "south" not in message


@pytest.mark.parametrize("column", ["patient_id", "site", "age", "icd"])
def test_a_missing_column_is_named_with_its_use(column: str) -> None:
    use = {"patient_id": "patient", "site": "site", "age": "feature", "icd": "task infarction"}
    assert f"lacks {column} ({use[column]})" in refusal(table().drop(columns=column))


def test_all_missing_columns_are_named_at_once() -> None:
    assert "age (feature), died (task death)" in refusal(table().drop(columns=["age", "died"]))


def test_a_column_that_stands_twice_is_refused() -> None:
    frame = table()
    assert "age more than once" in refusal(pd.concat([frame, frame[["age"]]], axis=1))
    assert "site more than once" in refusal(
        pd.concat([frame, frame[["site"]]], axis=1), site="north"
    )


def test_an_empty_table_is_refused() -> None:
    assert "no rows" in refusal(table().iloc[:0])


def test_repeated_patients_are_counted_and_not_quoted() -> None:
    message = refusal(table(patient_id=[SECRET, "p2", SECRET, f" {SECRET}"]))
    assert "column patient_id has 2 entries repeating" in message
    assert "the first in row 3" in message


@pytest.mark.parametrize("column", ["patient_id", "site"])
def test_a_row_without_patient_or_site_is_refused(column: str) -> None:
    message = refusal(table(**{column: ["a", None, "b", " "]}))
    assert f"column {column} has 2 entries that are empty, the first in row 2" in message


@pytest.mark.parametrize("entry", [SECRET + "x", "4_7", pd.Timestamp("2020-01-01"), "4,5"])
def test_text_in_a_numeric_feature_is_counted_and_not_quoted(entry: Any) -> None:
    message = refusal(table(age=[1, "", entry, entry]))
    assert "column age has 2 entries that are no number, the first in row 3" in message
    assert str(entry) not in message


def test_a_column_of_dates_is_no_numeric_feature() -> None:
    dates = list(pd.date_range("2020-01-01", periods=4))
    assert "column age has 4 entries that are no number" in refusal(table(age=dates))


@pytest.mark.parametrize("entry", [float("inf"), float("-inf"), "inf", "-Infinity"])
def test_infinite_values_are_refused(entry: Any) -> None:
    message = refusal(table(age=[1, 2, 3, entry]))
    assert "column age has 1 entry that are infinite, the first in row 4" in message


@pytest.mark.parametrize("entry", [SECRET, 2, "maybe", -1])
def test_a_yes_or_no_feature_takes_nothing_else(entry: Any) -> None:
    message = refusal(table(smokes=["t", entry, "f", entry]))
    assert "column smokes has 2 entries other than yes or no, the first in row 2" in message
    assert "maybe" not in message


def test_an_unlisted_category_is_refused() -> None:
    message = refusal(table(pain=["1", "2", SECRET, "1"]))
    assert "column pain has 1 entry that the study does not list, the first in row 3" in message


@pytest.mark.parametrize("died", [[0, 0, 0, 0], [1, 1, 1, 1], [None] * 4, [SECRET] * 4])
def test_a_task_of_one_class_is_refused_by_name(died: list[Any]) -> None:
    message = refusal(table(died=died))
    assert "task death has patients of one class only" in message
    assert "column died" in message


def test_a_site_of_the_roster_without_patients_is_refused() -> None:
    roster = (StudySite(name="north"), StudySite(name="south"), StudySite(name="west"))
    assert "site west has no patient" in refusal(
        table(), STUDY.model_copy(update={"sites": roster})
    )


def test_csv_and_parquet_give_the_same_patients(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    one, other = (
        patients_by_site(read_table(tmp_path / name), STUDY, where=name)
        for name in ("t.csv", "t.parquet")
    )
    for site in one:
        assert np.array_equal(one[site].x, other[site].x)
        assert np.array_equal(one[site].labels, other[site].labels)


def test_labels_that_are_not_asked_for_are_missing_whatever_stands_there() -> None:
    death = STUDY.tasks[1]
    names, patients = patients_of_one_site(table(), STUDY, where="t", labelled=death)
    assert names.tolist() == ["p1", "p2", "p3", "p4"]
    assert patients.labels.tolist() == [[MISSING, 1], [MISSING, 0], [MISSING, 0], [MISSING, 1]]
    _, none = patients_of_one_site(table(), STUDY, where="t", labelled=None)
    assert (none.labels == MISSING).all()
