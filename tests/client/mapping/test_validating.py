import numpy as np
import pandas as pd

from client.mapping.reading import survey
from client.mapping.validating import LISTED, NAMED, PLAUSIBLE, TWICE, USUAL, broken
from tests.client.mapping.hospital import Fake, site, study, ward


def frame() -> pd.DataFrame:
    return survey(Fake(ward()), site(), study()).frame


def test_what_a_reading_hands_on_keeps_the_contract() -> None:
    assert not broken(frame(), study())


def test_each_breach_is_counted_under_its_column() -> None:
    whole = frame()
    whole["age"] = np.array([999, 90, 50, 50, 50, 50, 50, np.nan], dtype=np.float32)
    whole["smokes"] = np.array([2, 3, 1, 1, 0, 0, 0, 0], dtype=np.float32)
    whole["sex"] = pd.Categorical(["X", *["F"] * 7])
    whole["patient_id"] = ["", "p1", "p1", *(f"p{i}" for i in range(3, 8))]
    assert broken(whole, study()) == {
        ("age", PLAUSIBLE): 1,
        ("age", USUAL): 2,
        ("smokes", LISTED): 2,
        ("sex", LISTED): 1,
        ("patient_id", NAMED): 1,
        ("patient_id", TWICE): 1,
    }


def test_a_wrong_type_and_a_strange_column_are_breaches() -> None:
    whole = frame().assign(age=lambda one: one["age"].astype("float64"), note="x")
    assert ("age", "dtype('float32')") in broken(whole, study())
    assert any("note" in str(key) or "in_schema" in str(key) for key in broken(whole, study()))
