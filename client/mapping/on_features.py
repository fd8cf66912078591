"""What is said about a study's features at a hospital."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from client.mapping.columns import Mapped
from client.mapping.entries import REASONS
from client.mapping.findings import FeatureFacts, Finding, Verdict, percent, verdict_on
from client.mapping.reading import Reading
from client.mapping.units import conversion
from client.mapping.validating import USUAL, Counts
from common.errors import SettingsError
from common.pages import count
from common.study import Feature

MANY_UNUSUAL, MANY_MISSING, MANY_IMPOSSIBLE = 0.3, 0.5, 0.05
"""Shares from which a warning is given. About 5 % of numbers are unusual where all is well."""


def feature_findings(
    reading: Reading, checked: Counts, doubts: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return what is to be said about the features; a feature of which all is well has nothing."""
    refused = {problem.column for problem in reading.problems}
    found: list[Finding] = []
    for place in reading.places:
        if (feature := place.wanted.feature) is None:
            continue
        values = reading.frame[feature.name]
        found += _of_contradiction(place, feature)
        found += _of_doubts(feature.name, doubts.get(feature.name, ()))
        found += _of_missing(feature, values, place)
        if feature.name not in refused:
            found += _of_impossible(feature, reading)
        found += _of_numbers(feature, values, checked)
    return found


def feature_facts(
    reading: Reading, checked: Counts, findings: Sequence[Finding]
) -> tuple[FeatureFacts, ...]:
    """Return the table of the features."""
    return tuple(
        _facts(place, place.wanted.feature, reading, checked, findings)
        for place in reading.places
        if place.wanted.feature
    )


def _facts(
    place: Mapped,
    feature: Feature,
    reading: Reading,
    checked: Counts,
    findings: Sequence[Finding],
) -> FeatureFacts:
    values = reading.frame[feature.name]
    numeric = feature.kind == "numeric"
    return FeatureFacts(
        name=feature.name,
        local=place.local,
        unit=feature.unit,
        unit_here=place.unit,
        missing=float(values.isna().mean()),
        impossible=_impossible(feature, reading),
        unusual=_unusual(feature, values, checked) if numeric else None,
        verdict=verdict_on(feature.name, findings),
    )


def _of_contradiction(place: Mapped, feature: Feature) -> Iterator[Finding]:
    """Yield that site.toml and the source name different units."""
    if place.stated and place.unit:
        try:
            same = not conversion(place.stated, place.unit).changes
        except SettingsError:
            same = False
        if not same:
            said = f"the source says {place.stated}, site.toml says {place.unit}, which counts"
            yield Finding("warning", feature.name, said, "correct whichever is wrong")


def _of_doubts(name: str, doubts: Sequence[str]) -> Iterator[Finding]:
    for doubt in doubts:
        if "usual as" in doubt:
            remedy = "if that is the unit here, say so: `unit` in this [[columns]]"
            yield Finding("warning", name, f"unit in doubt: {doubt}", remedy)


def _of_missing(feature: Feature, values: "pd.Series[float]", place: Mapped) -> Iterator[Finding]:
    missing = float(values.isna().mean())
    if not place.local and feature.may_be_missing:
        yield Finding("ok", feature.name, "this hospital has none, as site.toml says")
    elif missing == 1:
        remedy = 'map another column, or say that you have none: local = ""'
        yield Finding("warning", feature.name, "no patient has it", remedy)
    elif missing >= MANY_MISSING:
        yield Finding(
            "warning",
            feature.name,
            f"{percent(missing)} of the patients lack it",
            "look whether another column holds it; the study copes with missing values",
        )
    elif missing and not feature.may_be_missing:
        yield Finding(
            "warning",
            feature.name,
            f"{percent(missing)} lack it, though the study expects it of everyone",
            "fill it in at the source; an empty one counts as the middle of the usual range",
        )


def _of_impossible(feature: Feature, reading: Reading) -> Iterator[Finding]:
    """Yield what the policy has let go; what it refuses is a problem of the reading already."""
    share = _impossible(feature, reading)
    for reason, number in reading.impossible[feature.name].items():
        what, remedy = REASONS[reason]
        verdict: Verdict = "warning" if share and share >= MANY_IMPOSSIBLE else "ok"
        said = f"{count(number, 'entry')} {what}".replace("entrys", "entries")
        yield Finding(verdict, feature.name, said, remedy)


def _of_numbers(feature: Feature, values: "pd.Series[float]", checked: Counts) -> Iterator[Finding]:
    there = values.dropna()
    if len(there) > 1 and (there == there.iloc[0]).all():
        remedy = "look whether the column is the right one; a constant teaches nothing"
        yield Finding("warning", feature.name, "all patients have the same value", remedy)
    unusual = _unusual(feature, values, checked) if feature.kind == "numeric" else None
    if unusual is not None and unusual > MANY_UNUSUAL:
        yield Finding(
            "warning",
            feature.name,
            f"{percent(unusual)} lie outside the study's usual range",
            "check `unit`; if it is right, your patients differ, and that may be so",
        )


def _unusual(feature: Feature, values: "pd.Series[float]", checked: Counts) -> float | None:
    there = int(values.notna().sum())
    return checked[feature.name, USUAL] / there if there else None


def _impossible(feature: Feature, reading: Reading) -> float | None:
    """Return the share of a feature's entries that cannot be; of a number also its range counts."""
    counts = reading.impossible[feature.name]
    bad = sum(counts.values())
    there = int(np.count_nonzero(reading.frame[feature.name].notna())) + bad
    if feature.kind == "numeric" and feature.plausible is None and not bad:
        return None
    return bad / there if there else None
