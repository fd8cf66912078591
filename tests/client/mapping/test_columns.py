import numpy as np
import pytest

from client.mapping.reading import read_patients
from tests.client.mapping.hospital import SECRET, Fake, column, read, refusal, site, study, ward


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


def test_a_unit_that_nobody_knows_is_refused_with_the_column() -> None:
    text = refusal(ward(), columns=[column("sbp", "sbp", unit="furlong")])
    assert "'furlong' is not known" in text
    assert "column sbp of the study, here sbp" in text


def test_a_column_that_the_hospital_has_not_is_missing_for_everyone() -> None:
    rows = ward()
    del rows["chol"], rows["sex"]
    none = [column("chol", ""), column("sex", "")]
    frame = read(rows, columns=none).frame
    assert frame["chol"].isna().all()
    assert frame["sex"].isna().all()
    assert str(frame["chol"].dtype) == "float32"
    assert "needs column  here" in refusal(rows, columns=[*none, column("patient_id", "")])


def test_a_study_without_a_unit_asks_for_none() -> None:
    asked = study(features=[{"name": "score", "usual": [0, 10]}])
    source = Fake(ward(score=["1"] * 8), units={"score": "{points}"})
    assert read_patients(source, site(), asked).frame["score"].tolist() == [1.0] * 8
