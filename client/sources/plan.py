"""What is asked of dated events: the index date, the features, the labels; each a numbered slot."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

from client.source_settings import Cohort, Concept, EventFeature, EventLabel, FhirSource, OmopSource
from client.sources.base import LocalColumn
from common.errors import SettingsError

PERSON, SEX, AGE = "person_id", "sex", "age"
COUNTS = ("count", "any")  # of events; all other features are of values
BUILT_IN = (LocalColumn(PERSON), LocalColumn(SEX), LocalColumn(AGE, "years"))


class Slot(NamedTuple):
    """One question to the events. how: a feature's `value`, or "" for index and labels."""

    number: int
    kind: Literal["index", "feature", "label"]
    name: str
    how: str
    unit: str
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All slots of a cohort. index_day: the fixed one, or None where events give it."""

    cohort: Cohort
    index_day: date | None
    slots: tuple[Slot, ...]

    def of_kind(self, kind: Literal["index", "feature", "label"]) -> list[Slot]:
        """Return the slots of a kind, in the order of site.toml."""
        return [slot for slot in self.slots if slot.kind == kind]

    def concepts(self) -> set[str]:
        """Return all concepts that are asked for."""
        return {concept for slot in self.slots for concept in slot.concepts}

    def names(self) -> list[str]:
        """Return the names of the columns that come out."""
        asked = [slot.name for slot in self.slots if slot.kind != "index"]
        return [each.name for each in BUILT_IN] + asked


def make_plan(settings: OmopSource | FhirSource, spell: Callable[[Concept], str]) -> Plan:
    """Return the plan of a source. spell: a concept's one spelling, ValueError if it is none.

    Raises:
        SettingsError: a concept cannot be one of this source, the fixed date is none, or two
            columns have one name.
    """
    cohort, index_day = settings.cohort, None
    if isinstance(cohort.index, str):
        index_day = _fixed(cohort.index)
    slots = tuple(_slots(cohort, settings.features, settings.labels, spell))
    plan = Plan(cohort, index_day, slots)
    name, count = Counter(plan.names()).most_common(1)[0]
    if count > 1:
        raise SettingsError(
            f"the column {name} of source is named twice",
            where="site.toml",
            remedy=f"name features and labels apart, and none {PERSON}, {SEX} or {AGE}",
        )
    return plan


def _slots(
    cohort: Cohort,
    features: tuple[EventFeature, ...],
    labels: tuple[EventLabel, ...],
    spell: Callable[[Concept], str],
) -> Iterator[Slot]:
    if not isinstance(cohort.index, str):
        yield Slot(0, "index", "", "", "", _spelt(cohort.index, "cohort.index", spell))
    number = 0
    for feature in features:
        number += 1
        concepts = _spelt(feature.concepts, feature.name, spell)
        yield Slot(number, "feature", feature.name, feature.value, feature.unit, concepts)
    for label in labels:
        number += 1
        yield Slot(number, "label", label.name, "", "", _spelt(label.concepts, label.name, spell))


def _spelt(
    concepts: tuple[Concept, ...], place: str, spell: Callable[[Concept], str]
) -> tuple[str, ...]:
    try:
        spelt = tuple(dict.fromkeys(map(spell, concepts)))
    except ValueError as error:
        raise SettingsError(
            f"a concept of {place} is {error}",
            where="site.toml",
            remedy='OMOP has concept ids such as 201826; FHIR "http://loinc.org|8480-6"',
        ) from None
    if not spelt:
        raise SettingsError(
            f"{place} has no concept", where="site.toml", remedy="name one, or a fixed date"
        )
    return spelt


def _fixed(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            "cohort.index is neither a list of concepts nor a date",
            where="site.toml",
            remedy='write it as "2024-01-31"',
        ) from None
