"""Persons with events, and the rows that are made of them."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from client.source_settings import Cohort, EventFeature, EventLabel, FhirSource
from client.sources.plan import make_plan
from client.sources.stage import Stage, staged
from client.sources.windows import person_rows
from tests.client.sources.event_reference import Event, Person

DAY0 = date(2020, 1, 1)
INDEX, LAB, OUTCOME = "x|index", "x|lab", "x|outcome"
HOWS = ("last", "first", "mean", "min", "max", "count", "any")


def at(day: int, concept: str = LAB, value: float | None = None, **more: Any) -> Event:
    """An event so many days after DAY0; `span` days long, `late` days before it was known."""
    first = DAY0 + timedelta(days=day)
    last = first + timedelta(days=more.get("span", 0))
    known = last + timedelta(days=more.get("late", 0))
    moment = datetime.combine(first, time(more.get("hour", 0)))
    return Event(concept, first, last, known, moment, value, more.get("unit", ""))


def ward(*events: Event, name: str = "p", observed: Any = ((-999, 999),), **more: Any) -> Person:
    periods = tuple((DAY0 + timedelta(days=a), DAY0 + timedelta(days=b)) for a, b in observed)
    return Person(name, date(1980, 2, 29), events=events, observed=periods, **more)


def source(cohort: Cohort, *features: EventFeature, unit: str = "") -> FhirSource:
    hows = [EventFeature(name=h, concepts=(LAB,), value=h, unit=unit) for h in HOWS]  # type: ignore[arg-type]
    label = EventLabel(name="label", concepts=(OUTCOME,))
    return FhirSource(path=".", cohort=cohort, features=(*hows, *features), labels=(label,))


def fill(stage: Stage, persons: Iterable[Person]) -> None:
    for p in persons:
        stage.add("person", [(p.name, p.born, p.sex)])
        stage.add("observed", [(p.name, first, last) for first, last in p.observed])
        stage.add("death", [(p.name, p.died, p.died)] if p.died else [])
        rows = [
            (p.name, str(n), e.concept, e.day, e.last, e.known, e.at, e.value, e.unit, "")
            for n, e in enumerate(p.events)
        ]
        stage.add("event", rows)


def answers(given: FhirSource, persons: Iterable[Person], rows: int = 100) -> pd.DataFrame:
    plan = make_plan(given, str)
    with staged(plan, Path("nowhere")) as stage:
        fill(stage, persons)
        chunks = list(person_rows(stage, plan.names(), rows))
    return pd.concat(chunks).set_index("person_id") if chunks else pd.DataFrame()
