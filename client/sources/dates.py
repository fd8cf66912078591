"""Dates of FHIR: a year, a month, a day or a moment, as the days that they can mean here.

Reference: HL7 FHIR R4, section 2.24.0.1, https://hl7.org/fhir/R4/datatypes.html#dateTime.
"""

import calendar
import re
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

_PARTS = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T\S+)?)?)?", re.ASCII)


class Days(NamedTuple):
    """The earliest and the latest day that a date can mean, and its moment in UTC, for order."""

    day: date
    last: date
    moment: datetime


def days_of(text: str, zone: ZoneInfo) -> Days:
    """Return the days of a date at a hospital in this zone.

    A moment with an offset lies on the day that the hospital's calendar showed then; a day or a
    moment without one is the hospital's own. A year or a month is the span of all its days.

    Raises:
        ValueError: this is no date; the text is not quoted.
    """
    if not (parts := _PARTS.fullmatch(text)):
        raise ValueError("no date")
    year, month, day, clock = parts.groups()
    if clock:
        # A leap second is the second before it: only the order of events hangs on it.
        moment = _moment(re.sub(r":60(?=\D|$)", ":59", text), zone)
        return Days(moment.date(), moment.date(), _utc(moment))
    first = date(int(year), int(month or 1), int(day or 1))
    last = first
    if not day:
        end = int(month or 12)
        last = date(first.year, end, calendar.monthrange(first.year, end)[1])
    return Days(first, last, _utc(datetime.combine(first, time(), zone)))


def middle(text: str, zone: ZoneInfo) -> date:
    """Return one day for a date of birth: of a year its 1 July, of a month its 15th.

    Raises:
        ValueError: this is no date.
    """
    days = days_of(text, zone)
    if len(text) == len("2024"):
        return days.day.replace(month=7)
    return days.day.replace(day=15) if len(text) == len("2024-01") else days.day


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        raise ValueError("no moment") from None


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # the first or the last day of the calendar
        return moment.replace(tzinfo=None)
