from collections.abc import Sequence
from typing import Any

import pytest

from client.mapping.concepts import concept_of, likeness
from client.mapping.proposing import Proposal, propose
from client.mapping.suspecting import suspicion
from common.errors import TableError
from tests.client.mapping.hospital import Fake, site, study, ward


def proposals(
    rows: dict[str, Sequence[Any]], *, units: dict[str, str] | None = None, **settings: Any
) -> dict[str, Proposal]:
    found = propose(Fake(rows, units=units), site(**settings), study())
    return {one.wanted.name: one for one in found}


def renamed(rows: dict[str, Sequence[Any]], **names: str) -> dict[str, Sequence[Any]]:
    return {names.get(name, name): entries for name, entries in rows.items()}


@pytest.mark.parametrize(
    ("study_name", "local"),
    [
        ("sbp", "Systolic_BP"),
        ("trestbps", "sbp"),
        ("chol", "serum cholesterol"),
        ("age", "Age.Years"),
        ("thalach", "MaxHR"),
        ("patient_id", "MRN"),
        ("crp", "CRP value"),
    ],
)
def test_clinical_names_of_one_measurement_meet(study_name: str, local: str) -> None:
    assert likeness(study_name, local)[0] >= 0.9


def test_another_measurement_is_never_proposed_for_its_letters() -> None:
    assert likeness("hdl", "ldl")[0] == 0
    assert likeness("bun", "urea")[0] == 0
    assert concept_of("no such thing") == ""


def test_a_renamed_ward_is_found_again() -> None:
    rows = renamed(
        ward(), patient_id="MRN", age="AGE", sbp="systolic", chol="Cholesterol", icd="infarction"
    )
    found = proposals(rows)
    local = {name: one.rule.local for name, one in found.items() if one.rule}
    assert local == {
        "patient_id": "MRN",
        "age": "AGE",
        "sbp": "systolic",
        "chol": "Cholesterol",
        "smokes": "smokes",
        "sex": "sex",
        "icd": "infarction",  # named as the task
    }
    assert found["sbp"].why == ("both are names of systolic",)
    assert all(one.usable == 1.0 for one in found.values())
    assert found["chol"].missing == pytest.approx(1 / 8)


def test_kilopascals_are_suspected_and_said_why() -> None:
    found = proposals(ward(sbp=["16", "18.1", "17", "15.5", "21", "", "16.2", "17.9"]))["sbp"]
    assert found.rule
    assert found.rule.unit == "kPa"
    assert "100% of the numbers are usual as kPa, 0% as mm[Hg]" in found.why
    assert found.usable == 1.0


def test_millimoles_are_suspected_by_the_molar_mass() -> None:
    rows = ward(chol=["5.2", "6.1", "4.8", "7.0", "5.5", "", "6.6", "5.9"])
    rule = proposals(rows)["chol"].rule
    assert rule
    assert rule.unit == "mmol/L"


def test_the_source_s_unit_is_taken() -> None:
    rule = proposals(ward(sbp=["16.1"] * 8), units={"sbp": "kPa"})["sbp"].rule
    assert rule
    assert rule.unit == "kPa"


def test_numbers_that_fit_raise_no_suspicion() -> None:
    found = proposals(ward())
    assert {one.rule.unit for one in found.values() if one.rule} == {""}


def test_few_numbers_raise_no_suspicion() -> None:
    feature = study().features[1]
    import numpy as np

    assert suspicion(np.array([16.0, 17.0, 18.0, 16.0]), feature) is None
    assert suspicion(np.array([16.0, 17.0, 18.0, 16.0, 17.0]), feature) is not None


def test_marks_and_codes_of_missing_entries_are_proposed() -> None:
    rows = ward(chol=["0", "?", "286", "229", "250", "204", "0", "241"])
    found = proposals(rows)["chol"]
    assert found.rule
    assert found.rule.missing == ("?", 0)
    assert "out of the plausible range, taken as missing: 0" in found.why
    assert found.usable == 1.0


def test_a_zero_that_can_be_measured_is_no_code() -> None:
    rule = proposals(ward(age=["0", "61", "42", "30", "77", "38", "59", "66"]))["age"].rule
    assert rule
    assert rule.missing == ()


def test_words_for_sex_and_yes_are_translated() -> None:
    rows = ward(sex=["weiblich", "männlich"] * 4, smokes=["ja", "nein"] * 4)
    found = proposals(rows)
    assert found["sex"].rule
    assert dict(found["sex"].rule.values.items()) == {"weiblich": "F", "männlich": "M"}
    assert found["smokes"].rule
    assert dict(found["smokes"].rule.values.items()) == {"ja": 1, "nein": 0}
    assert found["smokes"].usable == found["sex"].usable == 1.0


def test_a_column_that_nothing_resembles_stays_open() -> None:
    rows = ward()
    del rows["chol"]
    found = proposals(rows)["chol"]
    assert found.rule is None
    assert found.why == ("no column has a name like it",)


def test_of_two_columns_alike_in_name_the_usable_one_is_taken() -> None:
    rows = renamed(ward(), sbp="sbp_text") | {"sbp_num": ward()["sbp"]}
    rows["sbp_text"] = ["high"] * 8
    rule = proposals({n: rows[n] for n in rows} | {"sys_bp": ["high"] * 8})["sbp"].rule
    assert rule
    assert rule.local == "sbp_num"


def test_a_rule_in_site_toml_stays_and_a_doubt_is_only_said() -> None:
    rows = ward(sbp=["16", "18.1", "17", "15.5", "21", "", "16.2", "17.9"])
    found = proposals(rows, columns=[{"study": "sbp", "local": "sbp"}])["sbp"]
    assert found.given
    assert found.rule
    assert found.rule.unit == ""
    assert found.why[1].startswith("not applied: 100% of the numbers are usual as kPa")
    assert found.usable == 0.0  # 16 mmHg is out of the plausible range


def test_a_rule_whose_column_is_gone_is_said() -> None:
    found = proposals(ward(), columns=[{"study": "sbp", "local": "RR"}])["sbp"]
    assert found.why == ("RR is not there: it may be renamed",)


def test_a_table_without_header_is_refused() -> None:
    with pytest.raises(TableError, match="looks like a patient's"):
        proposals({"63": ["1"], "1": ["0"], "145": ["130"]})


def test_a_source_without_rows_still_has_names() -> None:
    found = proposals({name: [] for name in ward()})
    assert {one.rule.local for one in found.values() if one.rule} == set(ward())
