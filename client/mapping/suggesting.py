"""What a column's entries suggest for its rule: marks of missing entries, words, the unit."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.cells import Cell, Column, cell_of
from client.mapping.columns import Mapped, Wanted, mapped
from client.mapping.entries import read_numbers
from client.mapping.suspecting import suspicion
from client.mapping.words import CODES, MARKS, check_codes, renamings
from client.site_file import ColumnRule, SiteFile
from common.errors import SettingsError
from common.pages import listed
from common.study import Feature, Value

NO_POSITIVE = "no entry is one that the study calls positive: name `values`"
Suggestion = tuple[ColumnRule, list[str]]


def suggest(wanted: Wanted, rule: ColumnRule, column: Column, site: SiteFile) -> Suggestion:
    """Return the rule with what its column's entries suggest, and the reasons."""
    if wanted.role == "patient":
        return rule, []
    cells = [cell_of(entry) for entry in pd.unique(column)]
    known = {*map(cell_of, site.rows.missing), *map(cell_of, rule.missing)}
    if wanted.feature:
        known |= {cell_of(category) for category in wanted.feature.categories}
    marks = [mark for mark in MARKS if mark in cells and mark not in known]
    why = [f"taken as missing: {listed(marks)}"] if marks else []
    rule = rule.model_copy(update={"missing": (*rule.missing, *marks)})
    if wanted.feature is None:
        positive = set(map(cell_of, wanted.positive))
        renamed = {cell_of(here): cell_of(value) for here, value in dict(rule.values).items()}
        there = {renamed.get(cell, cell) for cell in cells}
        return rule, why if positive & there else [*why, NO_POSITIVE]
    if wanted.feature.kind == "numeric":
        rule, others = _of_numbers(wanted, wanted.feature, rule, column, site)
    else:
        rule, others = _of_words(wanted.feature, rule, cells)
    return rule, [*why, *others]


def _of_words(feature: Feature, rule: ColumnRule, cells: Sequence[Cell]) -> Suggestion:
    told = dict(rule.values)
    named = {cell_of(here) for here in told}
    found = {k: v for k, v in renamings(cells, feature).items() if k not in named}
    if not found:
        return rule, check_codes(feature, cells)
    said = listed(f"{here} is {value}" for here, value in found.items())
    return rule.model_copy(update={"values": told | found}), [said]


def _of_numbers(
    wanted: Wanted, feature: Feature, rule: ColumnRule, column: Column, site: SiteFile
) -> Suggestion:
    """Return the rule with codes of a missing entry, and with the unit that the numbers fit."""
    why: list[str] = []
    try:
        place = mapped(wanted, rule, site)
    except SettingsError:
        return rule, why  # it is told where the rule is measured
    numbers, _ = read_numbers(column, place)
    plain = numbers[~np.isin(numbers, CODES)]
    if likelier := suspicion(plain, feature, stated=rule.unit, molar_mass=rule.molar_mass):
        why = [likelier.said(rule.unit or feature.unit)]
        rule = rule.model_copy(update={"unit": likelier.unit})
        place = mapped(wanted, rule, site)
    if codes := _codes(numbers, feature, place):
        rule = rule.model_copy(update={"missing": (*rule.missing, *codes)})
        why = [*why, f"out of the plausible range, taken as missing: {listed(codes)}"]
    return rule, why


def _codes(numbers: NDArray[np.float64], feature: Feature, place: Mapped) -> list[Value]:
    """Return the usual codes of a missing entry that are there and cannot be measured."""
    if feature.plausible is None:
        return []
    low, high = feature.plausible
    there = set(np.unique(numbers[np.isin(numbers, CODES)]).tolist())
    return [code for code in CODES if code in there and not low <= place.conversion(code) <= high]
