import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.source_settings import Cohort, EventFeature, EventLabel, OmopSource
from client.sources.opening import open_source
from common.errors import SettingsError, TableError

TABLES = {
    "person": """person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth
1,8507,1980,,
2,8532,1980,7,
3,0,1980,7,2
""",
    "observation_period": """person_id,observation_period_start_date,observation_period_end_date
1,2019-01-01,2020-12-31
2,2019-01-01,2020-12-31
3,2019-01-01,2020-12-31
""",
    "condition_occurrence": "person_id,condition_occurrence_id,condition_concept_id,"
    """condition_start_date
1,1,10,2020-01-01 00:00:00
2,2,11,2020-01-01
3,3,10,2020-07-01
1,4,21,2020-02-01
9,5,10,2020-01-01
""",
}
COHORT = Cohort(index=(10,), lookback=30, outcome=60)
PARENTS = "ancestor_concept_id,descendant_concept_id\n10,10\n10,11\n20,21\n20,20\n"


def write(folder: Path, **tables: str) -> None:
    for name, text in (TABLES | tables).items():
        if text:
            (folder / f"{name}.csv").write_text(text)


def rows(folder: Path, *names: str, **more: Any) -> pd.DataFrame:
    given: dict[str, Any] = {"path": ".", "cohort": COHORT}
    given["labels"] = (EventLabel(name="label", concepts=(20,)),)
    source = open_source(OmopSource.model_validate(given | more), folder)
    wanted = ["person_id", *(names or ("sex", "age", "label"))]
    return pd.concat(source.chunks(wanted)).set_index("person_id")


def test_sex_and_age_are_built_in(tmp_path: Path) -> None:
    write(tmp_path)
    frame = rows(tmp_path)
    assert list(frame.index) == ["1", "3"]  # 2 has no concept 10, 9 is no person
    assert frame["sex"].fillna("?").tolist() == ["M", "?"]
    assert frame["age"].tolist() == [39, 39]  # born 1980-07-01 as far as is known; 1980-07-02


def test_concepts_bring_their_descendants_where_these_are_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    assert rows(tmp_path)["label"].tolist() == [0, 0]
    assert "no concept_ancestor" in caplog.text
    caplog.clear()
    write(tmp_path, concept_ancestor=PARENTS.replace(",", "\t"))  # as Athena gives it
    frame = rows(tmp_path)
    assert list(frame.index) == ["1", "2", "3"]
    assert frame["label"].tolist() == [1, 0, 0]
    assert not caplog.text


def test_an_ancestor_and_its_descendant_count_an_event_once(tmp_path: Path) -> None:
    write(tmp_path, concept_ancestor=PARENTS)
    count = EventFeature(name="n", concepts=(10, 11), value="count")
    assert rows(tmp_path, "n", features=(count,))["n"].tolist() == [1, 1, 1]


def test_dying_is_an_event(tmp_path: Path) -> None:
    write(tmp_path, death="person_id,death_date\n1,2020-03-01\n3,\n")
    death = (EventLabel(name="death", concepts=(4306655,)),)
    assert rows(tmp_path, "death", labels=death)["death"].tolist() == [1, 0]


@pytest.mark.parametrize("table", ["person", "observation_period", "condition_occurrence"])
def test_a_lacking_table_is_named(tmp_path: Path, table: str) -> None:
    write(tmp_path, **{table: ""})
    with pytest.raises(TableError, match=table):
        rows(tmp_path)


def test_a_lacking_column_is_told_with_its_table(tmp_path: Path) -> None:
    text = TABLES["condition_occurrence"].replace("condition_start_date", "began")
    write(tmp_path, condition_occurrence=text)
    with pytest.raises(TableError, match=r"no such column.*table condition_occurrence"):
        rows(tmp_path)


def test_a_concept_is_a_number(tmp_path: Path) -> None:
    for concept in ("20", 20):
        OmopSource(path=".", cohort=COHORT, labels=(EventLabel(name="a", concepts=(concept,)),))
    with pytest.raises(SettingsError, match="no concept id of OMOP"):
        rows(tmp_path, labels=(EventLabel(name="a", concepts=("E11",)),))


def test_synthea_is_read(tmp_path: Path) -> None:
    """28 synthetic persons; 26 of them have a condition (SOURCE.md of the data)."""
    data = Path(os.environ.get("WARDROUND_DATA", "")) / "synthea27_omop" / "Synthea27Nj_5.4.zip"
    if not os.environ.get("WARDROUND_DATA") or not data.exists():
        pytest.skip("WARDROUND_DATA names no folder with synthea27_omop")
    visits = EventFeature(name="visits", concepts=(9202,), value="count")
    weight = EventFeature(name="weight", concepts=(3025315,), unit="kg")
    given: dict[str, Any] = {"path": str(data), "features": (visits, weight)}
    given["cohort"] = Cohort(index="2019-01-01", lookback=3650)
    given["labels"] = (EventLabel(name="sinusitis", concepts=(40481087,)),)
    frame = rows(tmp_path, "sex", "age", "visits", "weight", "sinusitis", **given)
    assert 20 <= len(frame) <= 28
    assert set(frame["sex"]) == {"M", "F"}
    assert frame["weight"].dropna().between(2, 200).all()
