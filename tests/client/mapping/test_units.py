import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mapping.unit_table import ANALYTES
from client.mapping.units import Conversion, conversion, known
from common.errors import SettingsError

SAME = [  # spellings of one unit, UCUM's first
    ("mm[Hg]", "mmHg", "mm Hg", "torr"),
    ("Cel", "degC", "°C"),
    ("[degF]", "degF", "°F"),
    ("mg/dL", "mg/dl", "MG/DL", "mg / dL"),
    ("umol/L", "µmol/l", "μmol/L"),
    ("10*3/uL", "10^3/µL", "K/uL", "x10^3/uL", "10E3/uL", "10*9/L", "thou/uL", "10*3/mm3", "K/mm3"),
    ("m[IU]/L", "mIU/L", "uIU/mL", "mU/L", "u[IU]/mL"),
    ("meq/L", "mEq/L"),
    ("/min", "1/min", "beats/min", "{beats}/min", "bpm"),
    ("kg/m2", "kg/m^2", "kg/m²", "kg.m-2"),
    ("a", "years", "yr"),
    ("mL/min/{1.73_m2}", "mL/min", "mL/min/1.73m2"),
    ("ug/L", "mcg/L", "ng/mL"),
    ("[lb_av]", "lb", "pounds"),
]
PAIRS = [  # unit, unit, concept
    ("mg/dL", "mmol/L", "glucose"),
    ("mg/dL", "umol/L", "creatinine"),
    ("g/dL", "mmol/L", "haemoglobin"),
    ("ug/dL", "nmol/L", "t4"),
    ("mm[Hg]", "kPa", ""),
    ("[degF]", "Cel", ""),
    ("K", "[degF]", ""),
    ("meq/L", "mg/dL", "calcium"),
    ("ukat/L", "U/L", "alt"),
    ("%", "mmol/mol", "hba1c"),
    ("[in_i]", "cm", ""),
    ("mo", "a", ""),
]


@pytest.mark.parametrize(
    ("value", "here", "study", "concept", "expected"),
    [
        (5.5, "mmol/L", "mg/dL", "glucose", 99.1),  # 5.5 mmol/L * 180.156 g/mol / 10
        (1.0, "mg/dL", "umol/L", "creatinine", 88.4),  # 10 mg/L / 113.12 g/mol = 88.40 umol/L
        (120.0, "mm[Hg]", "kPa", "", 16.0),  # 120 * 0.133322 = 15.9987
        (98.6, "[degF]", "Cel", "", 37.0),  # (98.6 - 32) * 5/9
        (310.15, "K", "Cel", "", 37.0),
        (5.0, "mmol/L", "mg/dL", "cholesterol", 193.3),  # 5 * 386.664 / 10
        (1.7, "mmol/L", "mg/dL", "triglycerides", 150.5),  # 1.7 * 885.453 / 10
        (20.0, "mg/dL", "mmol/L", "bun", 7.14),  # 200 / 28.014: urea nitrogen
        (6.0, "mg/dL", "mmol/L", "urea", 1.0),  # 60 / 60.056
        (1.0, "mg/dL", "umol/L", "bilirubin", 17.1),  # 10,000 / 584.673
        (2.5, "mmol/L", "mg/dL", "calcium", 10.02),  # 2.5 * 40.078 / 10
        (5.0, "meq/L", "mmol/L", "calcium", 2.5),  # two charges
        (14.0, "g/dL", "g/L", "haemoglobin", 140.0),
        (14.0, "g/dL", "mmol/L", "haemoglobin", 8.69),  # 140 / 16.1145
        (2.0, "m[IU]/L", "u[IU]/mL", "tsh", 2.0),
        (100.0, "nmol/L", "ug/dL", "t4", 7.77),  # 100 * 776.872 / 10,000
        (2.0, "nmol/L", "ng/dL", "t3", 130.2),  # 2 * 650.976 / 10
        (1.0, "ukat/L", "U/L", "alt", 60.0),
        (53.0, "mmol/mol", "%", "hba1c", 7.0),  # 0.09148 * 53 + 2.152
        (45.0, "%", "L/L", "haematocrit", 0.45),
        (24.0, "mo", "a", "", 2.0),
        (70.0, "in", "cm", "", 177.8),
    ],
)
def test_a_value_becomes_what_hand_computation_says(
    value: float, here: str, study: str, concept: str, expected: float
) -> None:
    assert conversion(here, study, concept=concept)(value) == pytest.approx(expected, rel=1.2e-3)


@pytest.mark.parametrize("spellings", SAME)
def test_spellings_of_one_unit_convert_by_one(spellings: tuple[str, ...]) -> None:
    for spelling in spellings:
        assert conversion(spelling, spellings[0]) == Conversion(), spelling


@given(st.sampled_from(PAIRS), st.floats(0.01, 1e4))
def test_there_and_back_is_where_one_was(pair: tuple[str, str, str], value: float) -> None:
    a, b, concept = pair
    there, back = conversion(a, b, concept=concept), conversion(b, a, concept=concept)
    assert back(there(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(
    st.sampled_from(["g/L", "mg/dL", "mmol/L", "umol/L", "ug/mL"]),
    st.sampled_from(["g/L", "mg/dL", "mmol/L", "umol/L", "ng/mL"]),
    st.sampled_from([name for name, substance in ANALYTES.items() if substance.molar_mass]),
    st.floats(0.1, 1e3),
)
def test_a_way_round_by_a_third_unit_is_the_direct_one(
    a: str, b: str, concept: str, value: float
) -> None:
    direct = conversion(a, b, concept=concept)(value)
    by_moles = conversion(a, "nmol/dL", concept=concept)(value)
    assert conversion("nmol/dL", b, concept=concept)(by_moles) == pytest.approx(direct, rel=1e-9)


@pytest.mark.parametrize(
    ("here", "study", "concept", "words"),
    [
        ("furlong", "mm[Hg]", "", "'furlong' is not known"),
        ("mmol/L", "kPa", "glucose", "'mmol/L' cannot become 'kPa' of glucose"),
        ("mmol/L", "mg/dL", "", "molar_mass"),
        ("vessels", "%", "", "cannot become"),
        ("mg/dL", "", "", "the study gives no unit"),
        ("kg", "", "", "the study gives no unit"),
        ("9**9**9", "mg/dL", "", "not known"),  # an arithmetic parser would never come back
        ("Cel", "kPa", "", "cannot become"),
        ("mg//dL", "mg/dL", "", "not known"),
        ("mg/", "mg/dL", "", "not known"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(
    here: str, study: str, concept: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        conversion(here, study, concept=concept, where="column x")
    assert words in str(caught.value)
    assert "column x" in str(caught.value)


def test_a_hospital_may_name_a_molar_mass() -> None:
    assert conversion("mmol/L", "mg/dL", molar_mass=200.0)(1.0) == pytest.approx(20.0)


def test_no_unit_here_or_the_same_text_changes_nothing() -> None:
    assert conversion("", "mg/dL") == Conversion()
    assert conversion("mm ST", "mmST") == Conversion()


@given(st.text(max_size=60))
def test_any_text_is_a_unit_or_is_refused(text: str) -> None:
    assert known(text) in (True, False)
