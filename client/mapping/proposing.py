"""Which local column stands for which of the study's: by name, by kind, by its numbers.

Only the first rows are looked at, here in the hospital. A proposal is a rule for site.toml with
the reasons why; nothing of it counts before it stands there, where an engineer reads it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from client.cells import Column
from client.mapping.columns import Mapped, Wanted, mapped, named_columns, wanted_columns
from client.mapping.concepts import likeness
from client.mapping.entries import entries_of, names_in
from client.mapping.reading import close
from client.mapping.suggesting import NO_POSITIVE, suggest
from client.site_file import ColumnRule, SiteFile
from client.sources.base import CHUNK_ROWS, LocalColumn, Source
from common.errors import SettingsError
from common.study import Study

SAMPLE_ROWS = 2 * CHUNK_ROWS
ALIKE = 0.6
"""A name that is less alike is not proposed."""


class Proposal(NamedTuple):
    """A column of the study and its rule, None where nothing fits.

    given: the rule stands in site.toml already. why: reasons, the first of the name. usable: the
    share of the entries that are not missing which the study could use; missing: of all entries.
    unit: in which the numbers are here, as rule or source say.
    """

    wanted: Wanted
    rule: ColumnRule | None
    given: bool
    why: tuple[str, ...]
    usable: float = 0.0
    missing: float = 0.0
    unit: str = ""


class _Candidate(NamedTuple):
    """A pair of names with how alike they are."""

    wanted: Wanted
    local: LocalColumn
    alike: float
    why: str


def propose(source: Source, site: SiteFile, study: Study) -> list[Proposal]:
    """Return a proposal for each column of the study, in the study's order.

    Raises:
        TableError: the source cannot be read, or its columns have no names.
    """
    there = {column.name: column for column in named_columns(source)}
    rules = {rule.study: rule for rule in site.columns}
    wanted = wanted_columns(study)
    candidates = [
        _Candidate(one, local, *_alike(one, local.name))
        for one in wanted
        if one.name not in rules
        for local in there.values()
    ]
    candidates = [one for one in candidates if one.alike >= ALIKE]
    asked = {one.local.name for one in candidates}
    asked |= {rules[one.name].local for one in wanted if one.name in rules} & set(there)
    sample = _sample(source, [name for name in there if name in asked])
    judged = [_judged(one, sample[one.local.name], site) for one in candidates]
    chosen = _assigned(judged, [one.alike for one in candidates])
    return [
        _given(one, rules[one.name], there, sample, site)
        if one.name in rules
        else chosen.get(one.name, Proposal(one, None, False, ("no column has a name like it",)))
        for one in wanted
    ]


class FirstRows:
    """The first rows of a source, kept as its chunks come."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self._columns = list(columns)
        self._parts: list[pd.DataFrame] = []

    def __call__(self, chunk: pd.DataFrame) -> None:
        """Keep a chunk, unless there are enough."""
        if not self.enough:
            self._parts.append(chunk)

    @property
    def enough(self) -> bool:
        """Return whether no more rows are needed."""
        return sum(map(len, self._parts)) >= SAMPLE_ROWS

    def frame(self) -> pd.DataFrame:
        """Return the rows that were kept."""
        if not self._parts:
            return pd.DataFrame(columns=self._columns)
        return pd.concat(self._parts, ignore_index=True)


def doubts(sample: pd.DataFrame, places: Sequence[Mapped], site: SiteFile) -> dict[str, list[str]]:
    """Return what rows suggest and site.toml does not say, by column of the study."""
    rules = {rule.study: rule for rule in site.columns}
    found = {}
    for place in (place for place in places if place.local):
        name = place.wanted.name
        rule = rules.get(name, ColumnRule(study=name, local=place.local))
        asked = rule.model_copy(update={"unit": place.unit})
        _, found[name] = suggest(place.wanted, asked, sample[place.local], site)
    return found


def _sample(source: Source, names: Sequence[str]) -> pd.DataFrame:
    first = FirstRows(names)
    chunks = source.chunks(names) if names else iter(())
    for chunk in chunks:
        first(chunk)
        if first.enough:
            break
    close(chunks)
    return first.frame()


def _alike(wanted: Wanted, local: str) -> tuple[float, str]:
    """Return how alike names are; a label's column may be called as its task is."""
    found = [likeness(name, local) for name in (wanted.name, *wanted.tasks)]
    return max(found, key=lambda one: one[0])


def _judged(one: _Candidate, column: Column, site: SiteFile) -> Proposal:
    """Return the proposal of one local column, with marks, units and words found in its entries."""
    asks = one.wanted.feature is not None and bool(one.wanted.feature.unit)
    unit = one.local.unit if asks else ""
    rule = ColumnRule(study=one.wanted.name, local=one.local.name, unit=unit)
    rule, why = suggest(one.wanted, rule, column, site)
    return _measured(one.wanted, rule, column, site, given=False, why=(one.why, *why))


def _given(
    wanted: Wanted,
    rule: ColumnRule,
    there: Mapping[str, LocalColumn],
    sample: pd.DataFrame,
    site: SiteFile,
) -> Proposal:
    """Return what becomes of a rule that stands in site.toml; it is never changed."""
    if not rule.local:
        return Proposal(wanted, rule, True, ("this hospital has none",), missing=1.0)
    if rule.local not in there:
        return Proposal(wanted, rule, True, (f"{rule.local} is not there: it may be renamed",))
    asks = wanted.feature is not None and bool(wanted.feature.unit)
    unit = rule.unit or (there[rule.local].unit if asks else "")
    column = sample[rule.local]
    asked = rule.model_copy(update={"unit": unit})
    _, why = suggest(wanted, asked, column, site)
    said = tuple(text if text == NO_POSITIVE else f"not applied: {text}" for text in why)
    return _measured(wanted, asked, column, site, given=True, why=("stands in site.toml", *said))


def _measured(
    wanted: Wanted,
    rule: ColumnRule,
    column: Column,
    site: SiteFile,
    *,
    given: bool,
    why: tuple[str, ...],
) -> Proposal:
    try:
        entries = entries_of(column, mapped(wanted, rule, site))
    except SettingsError as error:
        return Proposal(wanted, rule, given, (*why, error.what), unit=rule.unit)
    if wanted.role == "patient":
        names = names_in(column)
        good = (names != "") & ~names.duplicated(keep=False)
        return Proposal(wanted, rule, given, why, _share(good), _share(names == ""), rule.unit)
    if wanted.role == "label" and NO_POSITIVE in why:
        return Proposal(wanted, rule, given, why, 0.0, _share(pd.isna(entries.values)), rule.unit)
    bad = entries.reasons != 0
    known = np.asarray(pd.notna(entries.values)) | bad
    usable = _share(~bad[known])
    return Proposal(wanted, rule, given, why, usable, _share(~known), rule.unit)


def _assigned(judged: Sequence[Proposal], alike: Sequence[float]) -> dict[str, Proposal]:
    """Return the best proposal for each column of the study, no local column twice.

    The names decide, and among names that are alike the share of usable entries.
    """
    worth = [name * (0.5 + one.usable / 2) for one, name in zip(judged, alike, strict=True)]
    order = sorted(range(len(judged)), key=lambda i: -worth[i])
    chosen: dict[str, Proposal] = {}
    taken: set[str] = set()
    for i in order:
        one = judged[i]
        if one.rule and one.wanted.name not in chosen and one.rule.local not in taken:
            chosen[one.wanted.name] = one
            taken.add(one.rule.local)
    return chosen


def _share(rows: Any) -> float:
    return float(np.mean(np.asarray(rows))) if len(rows) else 1.0
