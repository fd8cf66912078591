"""FHIR R4: patients and their events, out of bundles (JSON) and lines of resources (NDJSON).

One bundle is in memory at a time. Files are named in errors by their number in order of name, not
by name: exports put patients' names there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
from pydantic import TypeAdapter, ValidationError

from client.source_settings import Concept, FhirSource
from client.sources.duckdb_file import ERRORS as DUCKDB_ERRORS
from client.sources.duckdb_file import duckdb_failure
from client.sources.event_rows import EventRows
from client.sources.fhir_events import Reader, Rows
from client.sources.fhir_resources import READ, Condition, Encounter, Patient, Resource
from client.sources.files import reason
from client.sources.guard import quietly
from client.sources.plan import make_plan
from client.sources.stage import Stage
from common.errors import SettingsError, TableError

_ERRORS = (*DUCKDB_ERRORS, RecursionError)
_LINES = (".ndjson", ".jsonl")
_HELD = 20_000  # rows that are held before they go to the stage
_RESOURCE: TypeAdapter[Any] = TypeAdapter(Resource)


def fhir_rows(settings: FhirSource, folder: Path, *, timezone: str) -> EventRows:
    """Return the source; nothing is read yet.

    Raises:
        SettingsError: a code is not written as system|code, or there is no such time zone.
    """
    path = folder / settings.path
    plan = make_plan(settings, _code)
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            "rows.timezone is no time zone that there is",
            where="site.toml",
            remedy='name one of the IANA database, such as "Europe/Berlin"',
        ) from None
    return EventRows(
        plan,
        folder,
        where=str(path),
        fill=lambda stage: _fill(stage, path, Reader(plan.concepts(), zone)),
        errors=_ERRORS,
        tell=lambda error: _failure(error, str(path)),
    )


def _code(concept: Concept) -> str:
    system, bar, code = str(concept).rpartition("|")
    if not (system and bar and code):
        raise ValueError("no system|code of FHIR")
    return str(concept)


def _fill(stage: Stage, path: Path, reader: Reader) -> None:
    files = _files(path)
    held: dict[str, list[tuple[Any, ...]]] = {}
    for number, file in enumerate(files, 1):
        place = f"{path}, file {number} of {len(files)} in order of name"
        for line, text in _documents(file):
            for table, rows in _read(text, reader, place + line):
                held.setdefault(table, []).extend(rows)
                if len(held[table]) >= _HELD:
                    stage.add(table, held.pop(table))
    for table, rows in held.items():
        stage.add(table, rows)
    if not stage.connection.execute("FROM person LIMIT 1").fetchone():
        raise TableError(
            "there is no Patient", where=str(path), remedy="export Patient resources, too"
        )
    _keep_one(stage)


def _keep_one(stage: Stage) -> None:
    """Keep one of equal rows, because exports overlap; and one period a person."""
    for table in ("person", "event", "death"):
        stage.run(f"CREATE TABLE one AS SELECT DISTINCT * FROM {table}")  # noqa: S608
        stage.run(f"DROP TABLE {table}; ALTER TABLE one RENAME TO {table}")
    stage.run("""
        CREATE TABLE one AS SELECT person, min(day) AS day, max(last) AS last
        FROM observed GROUP BY person""")
    stage.run("DROP TABLE observed; ALTER TABLE one RENAME TO observed")


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    found = [each for each in files if each.suffix.lower() in (".json", *_LINES)]
    if not found:
        raise TableError(
            "there is no .json or .ndjson file", where=str(path), remedy="name the export's folder"
        )
    return found


def _documents(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each text of JSON in a file, and its line where there are several."""
    if file.suffix.lower() not in _LINES:
        yield "", file.read_bytes()
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f", line {number}", line


def _read(text: bytes, reader: Reader, place: str) -> list[Rows]:
    """Return the rows of a bundle, or of a resource that stands alone.

    Raises:
        TableError: this is no FHIR R4.
    """
    return quietly(
        lambda: list(_rows(json.loads(text), reader, place)),
        (*_ERRORS, AttributeError, TypeError),  # what is no object where FHIR has one
        lambda error: _failure(error, place),
    )


def _rows(root: Any, reader: Reader, place: str) -> Iterator[Rows]:
    entries = list(_entries(root))
    persons = {
        url: _key(raw, url) for url, raw in entries if url and raw["resourceType"] == READ[0]
    }
    for number, (url, raw) in enumerate(entries):
        found = _RESOURCE.validate_python(raw)
        name = found.id or url or f"{place} {number}"
        if isinstance(found, Patient):
            yield from reader.patient(found, _key(raw, url))
            continue
        target = found.subject.reference
        person = persons.get(target) or _pointed(target)
        if isinstance(found, Condition):
            yield from reader.condition(found, name, person)
        elif isinstance(found, Encounter):
            yield from reader.encounter(found, name, person)
        else:
            yield from reader.observation(found, name, person)


def _entries(root: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources that are read, with their full urls in a bundle."""
    if not isinstance(root, dict) or not isinstance(root.get("resourceType"), str):
        raise TypeError
    alone: list[Any] = [{"resource": root}]
    for entry in root.get("entry", []) if root["resourceType"] == "Bundle" else alone:
        resource = entry.get("resource", {})
        if resource.get("resourceType") in READ:
            yield entry.get("fullUrl", ""), resource


def _key(patient: dict[str, Any], url: str) -> str:
    if not (key := patient.get("id") or url.rpartition(":")[2]):
        raise TypeError
    return str(key)


def _pointed(reference: str) -> str:
    """Return whom a reference means: Patient/7, https://.../Patient/7/_history/1, urn:uuid:7."""
    if found := re.search(r"(?:^|/)Patient/([^/]+)", reference):
        return found[1]
    return reference.removeprefix("urn:uuid:")


def _failure(error: Exception, where: str) -> TableError:
    if isinstance(error, duckdb.Error):
        return duckdb_failure(error, where, what="the events")
    if isinstance(error, OSError):
        why = f"the export cannot be read: {reason(error)}"
    elif isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        why = f"a resource is no FHIR R4, in {'.'.join(map(str, first['loc']))}"
    elif isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
        why = "this is no JSON"
    elif isinstance(error, ValueError):
        why = "a date of a resource is none"
    else:
        why = "this is no FHIR R4"
    remedy = "export FHIR R4 anew, as bundles in .json or resources in .ndjson"
    return TableError(why, where=where, remedy=remedy)
