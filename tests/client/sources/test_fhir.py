import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.source_settings import Cohort, EventFeature, EventLabel, FhirSource
from client.sources.opening import open_source
from common.errors import SettingsError, TableError
from tests.client.sources import samples

INDEX, LAB, OUTCOME = samples.FHIR["index"], samples.FHIR["lab"], samples.FHIR["outcome"]
COHORT = Cohort(index="2020-03-01", lookback=60, outcome=30)
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1980", "gender": "other"}
STAY = {"start": "2019-01-01", "end": "2021-01-01"}


def code(spelt: str, *others: str) -> dict[str, Any]:
    parts = [each.rpartition("|") for each in (spelt, *others)]
    return {"coding": [{"system": system, "code": code} for system, _, code in parts]}


def observation(day: str, value: float = 1.0, **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    base = {"resourceType": "Observation", "status": "final", "code": code(LAB)}
    base |= {"effectiveDateTime": day, "valueQuantity": quantity, "id": f"o{day}{value}"}
    return base | {"subject": {"reference": "Patient/p"}} | more


def condition(onset: str, **more: Any) -> dict[str, Any]:
    base = {"resourceType": "Condition", "code": code(OUTCOME), "onsetDateTime": onset}
    return base | {"id": f"c{onset}", "subject": {"reference": "Patient/p"}} | more


def encounter(**more: Any) -> dict[str, Any]:
    base = {"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}, "id": "e"}
    return base | {"subject": {"reference": "Patient/p"}, "period": STAY} | more


def row(folder: Path, *found: dict[str, Any], timezone: str = "UTC", **more: Any) -> Any:
    first = [more.pop("patient", PATIENT), encounter(period=more.pop("stay", STAY))]
    lines = [json.dumps(each) for each in (*first, *found)]
    (folder / "all.ndjson").write_text("\n\n".join(lines))
    features = [
        EventFeature.model_validate({"name": how, "concepts": (LAB,), "value": how})
        for how in ("last", "count")
    ]
    given: dict[str, Any] = {"path": ".", "cohort": COHORT, "features": features}
    given["labels"] = (EventLabel(name="label", concepts=(OUTCOME,)),)
    source = open_source(FhirSource.model_validate(given | more), folder, timezone=timezone)
    frame = pd.concat(source.chunks([each.name for each in source.columns()]))
    return frame.iloc[0]


def label(folder: Path, *found: dict[str, Any], **more: Any) -> int | None:
    value = row(folder, *found, **more)["label"]
    return None if pd.isna(value) else int(value)


def test_what_is_not_known_of_a_patient_is_missing(tmp_path: Path) -> None:
    found = row(tmp_path, observation("2020-02-01", 120.0))
    assert found["person_id"] == "p"
    assert pd.isna(found["sex"])
    assert found["age"] == 39  # 1980 counts as its 1 July
    assert (found["last"], found["count"]) == (120.0, 1)


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (observation("2020-02"), 1),  # all of its days are in the look-back window
        (observation("2020"), 0),  # some are after the index date
        (observation("2020-03"), 0),
        (observation("2020-02-01", issued="2020-03-02T00:00:00Z"), 0),  # not known yet
        (observation("2020-02-01", issued="2020-03-01T00:00:00Z"), 1),
        (observation("2020-02-01", status="entered-in-error"), 0),
        (observation("2020-02-01", subject={"reference": "Group/p"}), 0),
        (observation("2020-02-01", subject={"reference": "https://x/Patient/p/_history/3"}), 1),
        (observation("", effectiveInstant="2020-02-01T00:00:00Z"), 1),
        (observation("", effectivePeriod={"start": "2020-02-01", "end": "2020-03-02"}), 0),
        (observation("", effectivePeriod={"start": "2020-02-01"}), 1),
        (observation(""), 0),
        (observation("2020-02-01", code=code("a|b", LAB)), 1),
    ],
)
def test_which_observations_count(tmp_path: Path, found: dict[str, Any], count: int) -> None:
    assert row(tmp_path, found)["count"] == count


def test_a_zone_decides_on_which_side_of_the_index_date_an_evening_lies(tmp_path: Path) -> None:
    evening = observation("2020-03-01T23:30:00Z")
    assert row(tmp_path, evening)["count"] == 1
    assert row(tmp_path, evening, timezone="Europe/Berlin")["count"] == 0
    here = observation("2020-03-01T23:30:00")
    assert row(tmp_path, here, timezone="Europe/Berlin")["count"] == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (condition("2020-03-10"), 1),
        (condition("2020-03"), None),  # it may have been on the index date
        (condition("2020-02-20"), None),  # washed out
        (condition("2020-03-10", verificationStatus=code("x|refuted")), 0),
        (condition("2020-03-10", verificationStatus=code("x|provisional")), 0),
        (condition("2020-03-10", verificationStatus=code("x|confirmed")), 1),
        (condition("", recordedDate="2020-03-10"), 1),
        (condition("", onsetPeriod={"start": "2020-03-10"}), 1),
        (condition("2019-01-01"), 0),
    ],
)
def test_which_conditions_are_a_diagnosis(
    tmp_path: Path, found: dict[str, Any], expected: int | None
) -> None:
    assert label(tmp_path, found) == expected


def test_the_observed_period_runs_from_the_first_to_the_last_record(tmp_path: Path) -> None:
    def seen(end: str, *more: dict[str, Any], **patient: Any) -> int | None:
        return label(tmp_path, *more, stay={"start": "2020-01-01", "end": end}, **patient)

    assert seen("2020-03-30") is None
    assert seen("2020-03-31") == 0
    assert seen("2020-03-30", observation("2020-04-01")) == 0
    assert seen("2020-03-30", patient=PATIENT | {"deceasedDateTime": "2020-03-15"}) == 0


def test_dying_is_an_event(tmp_path: Path) -> None:
    dead = PATIENT | {"deceasedDateTime": "2020-03-15T10:00:00Z"}
    death = (EventLabel(name="label", concepts=("http://snomed.info/sct|419620001",)),)
    assert label(tmp_path, patient=dead, labels=death) == 1


def test_an_export_that_overlaps_counts_once(tmp_path: Path) -> None:
    found = observation("2020-02-01")
    assert row(tmp_path, PATIENT, found, found, observation("2020-02-02"))["count"] == 2


def test_practitioners_and_other_resources_are_passed_over(tmp_path: Path) -> None:
    other = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "x"}]}
    assert row(tmp_path, other)["count"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"no JSON .*file 1 of 1"),
        ('{"a": 1}', "no FHIR R4"),
        ("[]", "no FHIR R4"),
        ('{"resourceType": "Bundle", "entry": 1}', "no FHIR R4"),
        (json.dumps(encounter(**{"class": []})), "Encounter.class"),  # as in R5
        (json.dumps(observation("2020", valueQuantity={"value": "high"})), "valueQuantity.value"),
        (json.dumps(observation("soon")), "a date"),
        (json.dumps({"resourceType": "Patient"}), "no FHIR R4"),
        (json.dumps(encounter()), "no Patient"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_fhir_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "Ann_Nonymous.json").write_text(text)
    given = samples.fhir(path=".")
    with pytest.raises(TableError, match=words) as caught:
        open_source(given, tmp_path).columns()
    assert "Ann" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_line_is_named_and_an_empty_folder_refused(tmp_path: Path) -> None:
    source = open_source(samples.fhir(path="."), tmp_path)
    with pytest.raises(TableError, match=r"no \.json"):
        source.columns()
    (tmp_path / "a.ndjson").write_text(json.dumps(PATIENT) + "\n\n{\n")
    with pytest.raises(TableError, match=r"no JSON .*file 1 of 1.*, line 3"):
        source.columns()


def test_a_code_is_written_with_its_system(tmp_path: Path) -> None:
    for concept in (8480, "8480-6", "http://loinc.org|"):
        with pytest.raises(SettingsError, match=r"no system\|code"):
            row(tmp_path, labels=(EventLabel(name="x", concepts=(concept,)),))


def test_the_sample_is_fhir_r4_to_another_implementation_too() -> None:
    from fhir.resources.R4B.bundle import Bundle

    for person in samples.patients(5):
        Bundle.model_validate(samples.bundle(person))


def test_synthea_is_read(tmp_path: Path) -> None:
    """Five synthetic men, born 1982-1993 (SOURCE.md of the data)."""
    data = Path(os.environ.get("WARDROUND_DATA", "")) / "fhir_synthea_r4"
    if not os.environ.get("WARDROUND_DATA") or not data.exists():
        pytest.skip("WARDROUND_DATA names no folder with fhir_synthea_r4")
    weight = EventFeature(name="weight", concepts=("http://loinc.org|29463-7",), unit="kg")
    systolic = EventFeature(name="sbp", concepts=(LAB,))
    source = open_source(
        FhirSource(
            path=str(data),
            cohort=Cohort(index="2019-01-01", lookback=3650),
            features=(systolic, weight),
            labels=(EventLabel(name="x", concepts=("http://snomed.info/sct|444814009",)),),
        ),
        tmp_path,
    )
    assert dict(source.columns())["sbp"] == "mm[Hg]"
    frame = pd.concat(source.chunks(["sex", "age", "sbp", "weight"]))
    assert frame["sex"].tolist() == ["M"] * 5
    assert frame["age"].between(25, 37).all()
    assert frame[["sbp", "weight"]].notna().all(axis=None)
