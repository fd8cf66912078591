"""The windows of client.sources.windows written out as plain loops over plain values."""

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from client.source_settings import Cohort, EventFeature, EventLabel


@dataclass(frozen=True)
class Event:
    """An event of a person; `last` is `day` unless the date is a span of days."""

    concept: str
    day: date
    last: date
    known: date
    at: datetime
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Person:
    """A person and all that happened to it."""

    name: str
    born: date
    sex: str = "F"
    events: tuple[Event, ...] = ()
    observed: tuple[tuple[date, date], ...] = ()
    died: date | None = None
    features: dict[str, float | None] = field(default_factory=dict)


def index_day(person: Person, cohort: Cohort) -> date | None:
    """Return the person's index date, None if it is not in the cohort."""
    if isinstance(cohort.index, str):
        day = date.fromisoformat(cohort.index)
        alive = person.born <= day and not (person.died and person.died < day)
        return day if alive else None
    days = [e.day for e in person.events if e.concept in cohort.index and e.day == e.last]
    return min(days, default=None)


def feature_of(person: Person, feature: EventFeature, index: date, cohort: Cohort) -> float | None:
    """Return a feature's value, None if it is missing."""
    start = index - timedelta(days=cohort.lookback)
    inside = []
    for event in person.events:
        if event.concept not in feature.concepts:
            continue
        if feature.unit and event.unit != feature.unit:
            continue
        if event.day >= start and event.last <= index and event.known <= index:
            inside.append(event)
    if feature.value == "count":
        return float(len(inside))
    if feature.value == "any":
        return float(bool(inside))
    series = sorted((e.at, e.value) for e in inside if e.value is not None)
    values = [value for _, value in series]
    if not values:
        return None
    if feature.value == "mean":
        return math.fsum(values) / len(values)
    choices = {"last": values[-1], "first": values[0], "min": min(values), "max": max(values)}
    return choices[feature.value]


def label_of(person: Person, label: EventLabel, index: date, cohort: Cohort) -> int | None:
    """Return a label, None if it is missing."""
    start, end = index - timedelta(days=cohort.lookback), index + timedelta(days=cohort.outcome)
    events = [e for e in person.events if e.concept in label.concepts]
    if cohort.washout and any(e.last >= start and e.day <= index for e in events):
        return None
    if any(e.day > index and e.last <= end for e in events):
        return 1
    if any(e.last > index and e.day <= end for e in events):
        return None
    if person.died and index < person.died <= end:
        return 0
    days = [index + timedelta(days=n) for n in range(1, cohort.outcome + 1)]
    seen = all(any(first <= day <= last for first, last in person.observed) for day in days)
    return 0 if seen else None
