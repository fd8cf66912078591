"""The same patients written as OMOP CSV tables, as FHIR bundles and as lines of FHIR resources."""

import csv
import json
import random
import sqlite3
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from client.source_settings import Cohort, EventFeature, EventLabel, FhirSource, OmopSource
from tests.client.sources.event_reference import Event, Person, feature_of, index_day, label_of

SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
OMOP = {"index": 201826, "lab": 3004249, "outcome": 4329847, "visit": 9202}
FHIR = {
    "index": f"{SNOMED}|44054006",
    "lab": f"{LOINC}|8480-6",
    "outcome": f"{SNOMED}|22298006",
    "visit": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB",
}
HOWS = ("last", "first", "mean", "min", "max", "count", "any")
PANEL = f"{LOINC}|85354-9"
START = date(2015, 1, 1)
COHORT = Cohort(index=("index",), lookback=200, outcome=150)


def patients(number: int = 40, seed: int = 0) -> list[Person]:
    """Patients of one observed period each, with all their events in it."""
    rng = random.Random(seed)
    return [_patient(f"{n + 1}", rng) for n in range(number)]


def _patient(name: str, rng: random.Random) -> Person:
    length = rng.randint(50, 900)
    events = []
    for concept in rng.choices(["index", "lab", "lab", "lab", "outcome", "visit"], k=8):
        day = START + timedelta(days=rng.randint(0, length))
        value = rng.randint(90, 180) / 2 if concept == "lab" else None
        moment = datetime.combine(day, time(rng.randint(0, 20)))
        unit = rng.choice(["mm[Hg]", "mm[Hg]", "kPa"]) if concept == "lab" else ""
        events.append(Event(concept, day, day, day, moment, value, unit))
    end = START + timedelta(days=length)
    died = end if rng.random() < 0.3 else None
    born = date(rng.randint(1930, 2000), rng.randint(1, 12), rng.randint(1, 28))
    return Person(name, born, rng.choice("FM"), tuple(events), ((START, end),), died)


def questions(codes: dict[str, Any], cohort: Cohort = COHORT) -> dict[str, Any]:
    """Settings that an OMOP and a FHIR source have in common, in the codes of one of them."""
    hows = [{"name": how, "concepts": (codes["lab"],), "value": how} for how in HOWS]
    kpa = {"name": "kpa", "concepts": (codes["lab"],), "value": "mean", "unit": "kPa"}
    index: Any = cohort.index
    if not isinstance(index, str):
        index = tuple(codes[each] for each in index)
    return {
        "cohort": cohort.model_copy(update={"index": index}),
        "features": tuple(EventFeature.model_validate(each) for each in (*hows, kpa)),
        "labels": (EventLabel(name="label", concepts=(codes["outcome"],)),),
    }


def omop(cohort: Cohort = COHORT, **place: str) -> OmopSource:
    return OmopSource.model_validate(place | questions(OMOP, cohort))


def fhir(cohort: Cohort = COHORT, **place: str) -> FhirSource:
    return FhirSource.model_validate(place | questions(FHIR, cohort))


def expected(persons: Iterable[Person], cohort: Cohort = COHORT) -> pd.DataFrame:
    """What the plain loops of event_reference make of them."""
    given = questions({name: name for name in OMOP}, cohort)
    rows = []
    for p in sorted(persons, key=lambda each: each.name):
        if (index := index_day(p, cohort)) is None:
            continue
        age = index.year - p.born.year - ((index.month, index.day) < (p.born.month, p.born.day))
        row: dict[str, Any] = {"person_id": p.name, "sex": p.sex, "age": age}
        row |= {f.name: feature_of(p, f, index, cohort) for f in given["features"]}
        row |= {label.name: label_of(p, label, index, cohort) for label in given["labels"]}
        rows.append(row)
    return pd.DataFrame(rows)


def write_omop(folder: Path, persons: Sequence[Person]) -> Path:
    """Write the tables as an export does: file names in upper case, headers in lower."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[list[Any]]] = {
        "PERSON": [
            ["person_id", "gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth"],
            *([p.name, 8507 if p.sex == "M" else 8532, *_parts(p.born)] for p in persons),
        ],
        "OBSERVATION_PERIOD": [
            ["person_id", "observation_period_start_date", "observation_period_end_date"],
            *([p.name, first, last] for p in persons for first, last in p.observed),
        ],
        "DEATH": [["person_id", "death_date"], *([p.name, p.died] for p in persons if p.died)],
        "CONCEPT": [
            ["concept_id", "concept_name", "vocabulary_id", "concept_code"],
            [8876, "millimetre, mercury", "UCUM", "mm[Hg]"],
        ],
    }
    tables |= {table.upper(): rows for table, rows in _event_tables(persons).items()}
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


def _parts(day: date) -> list[int]:
    return [day.year, day.month, day.day]


def _event_tables(persons: Sequence[Person]) -> dict[str, list[list[Any]]]:
    heads = {
        "condition_occurrence": "condition_concept_id condition_start_",
        "visit_occurrence": "visit_concept_id visit_start_",
        "measurement": "measurement_concept_id measurement_",
    }
    units = "value_as_number unit_concept_id unit_source_value"
    tables: dict[str, list[list[Any]]] = {}
    for name, head in heads.items():
        more = units if name == "measurement" else ""
        concept, prefix = head.split()
        dates = [f"{prefix}date", f"{prefix}datetime"]
        tables[name] = [["person_id", f"{name}_id", concept, *dates, *more.split()]]
    for p in persons:
        for e in p.events:
            table = {"lab": "measurement", "visit": "visit_occurrence"}.get(e.concept)
            rows = tables[table or "condition_occurrence"]
            row = [p.name, len(rows), OMOP[e.concept], e.day, e.at]
            if e.concept == "lab":
                row += [e.value, 8876 if e.unit == "mm[Hg]" else "", e.unit]
            rows.append(row)
    return tables


def write_zip(path: Path, folder: Path) -> None:
    """Pack a folder as macOS does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.glob("*.csv"):
            archive.writestr(f"__MACOSX/._{file.name}", b"\0\1not a table")
            archive.write(file, f"export/{file.name}")


def write_sqlite(path: Path, folder: Path) -> None:
    with sqlite3.connect(path) as connection:
        for file in folder.glob("*.csv"):
            with file.open(newline="") as lines:
                head, *rows = list(csv.reader(lines))
            typed = [f"{name} {'INTEGER' if name.endswith('_id') else 'TEXT'}" for name in head]
            connection.execute(f"CREATE TABLE {file.stem} ({', '.join(typed)})")
            marks = ", ".join("?" * len(head))
            entries = [[entry or None for entry in row] for row in rows]
            connection.executemany(f"INSERT INTO {file.stem} VALUES ({marks})", entries)
    connection.close()


def write_duckdb(path: Path, folder: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA cdm")
        for file in folder.glob("*.csv"):
            connection.execute(f"CREATE TABLE cdm.cdm.{file.stem} AS FROM read_csv('{file}')")


def resources(person: Person) -> list[dict[str, Any]]:
    """One patient's resources, its observed period as one long encounter."""
    patient = {"resourceType": "Patient", "id": person.name, "birthDate": str(person.born)}
    patient["gender"] = {"M": "male", "F": "female"}[person.sex]
    if person.died:
        patient["deceasedDateTime"] = str(person.died)
    found: list[dict[str, Any]] = [patient]
    for number, (first, last) in enumerate(person.observed):
        stay = {"start": str(first), "end": str(last)}
        found.append(_encounter(person, f"stay{number}", stay, "IMP"))
    for number, event in enumerate(person.events):
        found.append(_resource(person, f"{person.name}-{number}", event))
    return found


def _subject(person: Person) -> dict[str, str]:
    return {"reference": f"Patient/{person.name}"}


def _encounter(person: Person, key: str, period: dict[str, str], kind: str) -> dict[str, Any]:
    system = FHIR["visit"].partition("|")[0]
    return {
        "resourceType": "Encounter",
        "id": f"{person.name}-{key}",
        "status": "finished",
        "class": {"system": system, "code": kind},
        "subject": _subject(person),
        "period": period,
    }


def _resource(person: Person, key: str, event: Event) -> dict[str, Any]:
    moment = f"{event.at.isoformat()}Z"
    if event.concept == "visit":
        return _encounter(person, key, {"start": moment}, "AMB")
    system, _, code = FHIR[event.concept].rpartition("|")
    coded = {"coding": [{"system": system, "code": code}, {"system": "urn:local", "code": "x"}]}
    common = {"id": key, "subject": _subject(person)}
    if event.concept != "lab":
        return {"resourceType": "Condition", "code": coded, "onsetDateTime": moment} | common
    quantity = {"value": event.value, "unit": event.unit.lower(), "code": event.unit}
    quantity["system"] = "http://unitsofmeasure.org"
    panel = {"coding": [{"system": LOINC, "code": PANEL.rpartition("|")[2]}]}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": panel,
        "effectiveDateTime": moment,
        "component": [{"code": coded, "valueQuantity": quantity}],
    } | common


def bundle(person: Person) -> dict[str, Any]:
    """A transaction, in which resources point at each other by urn:uuid."""
    text = json.dumps(resources(person)).replace(
        f"Patient/{person.name}", f"urn:uuid:{person.name}"
    )
    entries = [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in json.loads(text)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def write_fhir(folder: Path, persons: Sequence[Person]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for person in persons:
        (folder / f"{person.name}.json").write_text(json.dumps(bundle(person)))
    return folder


def write_ndjson(folder: Path, persons: Sequence[Person]) -> Path:
    """One file for each kind of resource, as a bulk export gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in persons:
        for resource in resources(person):
            with (folder / f"{resource['resourceType']}.ndjson").open("a") as file:
                file.write(json.dumps(resource) + "\n")
    return folder
