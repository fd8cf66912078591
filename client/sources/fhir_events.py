"""Resources of FHIR as rows of the stage: who, which code, which days, which value."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from client.sources.dates import Days, days_of, middle
from client.sources.fhir_resources import (
    CodeableConcept,
    Coding,
    Condition,
    Encounter,
    Observation,
    Patient,
    Quantity,
)

DEATH = "http://snomed.info/sct|419620001"  # so that dying can be a label or an index
_UNREAL = ("entered-in-error", "cancelled", "planned")
_SEX = {"male": "M", "female": "F"}

Row = tuple[Any, ...]


class Rows(NamedTuple):
    """Rows for one table of the stage."""

    table: str
    rows: list[Row]


class Reader:
    """Turns resources to rows. wanted: the codes that are asked for. zone: the hospital's."""

    def __init__(self, wanted: set[str], zone: ZoneInfo) -> None:
        self._wanted, self._zone = wanted, zone

    def patient(self, patient: Patient, person: str) -> Iterator[Rows]:
        """Yield a person, and its death if that has a date.

        Raises:
            ValueError: a date is none.
        """
        born = middle(patient.birth_date, self._zone) if patient.birth_date else None
        yield Rows("person", [(person, born, _SEX.get(patient.gender))])
        if patient.deceased_date_time:
            died = days_of(patient.deceased_date_time, self._zone)
            yield Rows("death", [(person, died.day, died.last)])
            yield self._events(person, "death", [_coding(DEATH)], died, died.last)

    def observation(self, found: Observation, name: str, person: str) -> Iterator[Rows]:
        """Yield an observation and its components; what is not known yet on a day has `issued`.

        Raises:
            ValueError: a date is none.
        """
        text = found.effective_date_time or found.effective_instant
        days = self._days(text, found.effective_period.start, found.effective_period.end)
        if found.status in _UNREAL or not days:
            return
        known = self._latest(days, found.issued)
        yield Rows("observed", [(person, days.last, max(days.day, days.last))])
        key = f"Observation/{name}"
        yield self._events(person, key, found.code.coding, days, known, found.value_quantity)
        for number, part in enumerate(found.component):
            own = f"{key}/{number}"
            yield self._events(person, own, part.code.coding, days, known, part.value_quantity)

    def condition(self, found: Condition, name: str, person: str) -> Iterator[Rows]:
        """Yield a confirmed diagnosis, dated by its onset and known from when it was recorded.

        Raises:
            ValueError: a date is none.
        """
        if not _confirmed(found.verification_status):
            return
        days = self._days(found.onset_date_time or found.onset_period.start or found.recorded_date)
        if found.recorded_date:  # an onset tells of a time when nobody may have looked
            recorded = days_of(found.recorded_date, self._zone)
            yield Rows("observed", [(person, recorded.last, recorded.last)])
        if days:
            known = self._latest(days, found.recorded_date)
            yield self._events(person, f"Condition/{name}", found.code.coding, days, known)

    def encounter(self, found: Encounter, name: str, person: str) -> Iterator[Rows]:
        """Yield a visit, dated by its start, under its types and its class.

        Raises:
            ValueError: a date is none.
        """
        days = self._days(found.period.start)
        if found.status in _UNREAL or not days:
            return
        end = days_of(found.period.end, self._zone).day if found.period.end else days.last
        yield Rows("observed", [(person, days.last, max(days.last, end))])
        codings = [coding for each in found.type for coding in each.coding]
        key = f"Encounter/{name}"
        yield self._events(person, key, (*codings, found.kind), days, days.last)

    def _events(
        self,
        person: str,
        key: str,
        codings: "tuple[Coding, ...] | list[Coding]",
        days: Days,
        known: date,
        quantity: Quantity | None = None,
    ) -> Rows:
        value = quantity.value if quantity else None
        unit, written = quantity.units() if quantity else ("", "")
        codes = {coding.spelt() for coding in codings} & self._wanted
        rest = (days.day, days.last, known, days.moment, value, unit, written)
        return Rows("event", [(person, key, code, *rest) for code in sorted(codes)])

    def _days(self, start: str, other: str = "", end: str = "") -> Days | None:
        """Return the days from the start, or the other start, to the end; None without a start."""
        if not (text := start or other):
            return None
        days = days_of(text, self._zone)
        if not start and end:
            days = days._replace(last=max(days.last, days_of(end, self._zone).last))
        return days

    def _latest(self, days: Days, later: str) -> date:
        return max(days.last, days_of(later, self._zone).last) if later else days.last


def _confirmed(status: CodeableConcept | None) -> bool:
    return status is None or any(coding.code == "confirmed" for coding in status.coding)


def _coding(spelt: str) -> Coding:
    system, _, code = spelt.rpartition("|")
    return Coding(system=system, code=code)
