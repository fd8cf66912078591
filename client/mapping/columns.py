"""Which local column stands for each of the study's, and what its entries mean there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from client.cells import Cell, cell_of
from client.mapping.concepts import concept_of
from client.mapping.units import Conversion, conversion
from client.site_file import ColumnRule, SiteFile
from client.sources.base import LocalColumn, Source
from common.errors import TableError
from common.study import Feature, Study, TaskRule, Value

Role = Literal["patient", "feature", "label"]
NO_RULE = "it has no rule in [[columns]], so its own name was looked for"


class Wanted(NamedTuple):
    """A column of the study. feature: what it is, unless it names patients or holds labels.

    tasks: those whose labels it holds. positive: what is positive in any of them.
    """

    name: str
    role: Role
    feature: Feature | None = None
    tasks: tuple[str, ...] = ()
    positive: tuple[Value, ...] = ()


class Mapped(NamedTuple):
    """A column of the study with its place at the hospital.

    local: "" where there is none. missing: entries that mean "not known". renamed: what an entry is
    called in the study. unit: in which the numbers are here, as the rule or the source says, ""
    where neither does. stated: what the source says.
    """

    wanted: Wanted
    local: str
    unit: str = ""
    conversion: Conversion = Conversion()
    missing: frozenset[Cell] = frozenset()
    renamed: Mapping[Cell, Cell] = {}
    stated: str = ""

    @property
    def said(self) -> str:
        """The column's name for a report: the study's, and the local one if that differs."""
        name = self.wanted.name
        return name if self.local in ("", name) else f"{name} (here {self.local})"


def wanted_columns(study: Study) -> list[Wanted]:
    """Return the columns that a study needs of a hospital: patient, features, labels."""
    labels: dict[str, list[TaskRule]] = {}
    for task in study.tasks:
        labels.setdefault(task.column, []).append(task)
    return [
        Wanted(study.columns.patient, "patient"),
        *(Wanted(feature.name, "feature", feature) for feature in study.features),
        *(_of_labels(column, tasks) for column, tasks in labels.items()),
    ]


def _of_labels(column: str, tasks: Sequence[TaskRule]) -> Wanted:
    positive = tuple(dict.fromkeys(value for task in tasks for value in task.positive))
    return Wanted(column, "label", tasks=tuple(task.name for task in tasks), positive=positive)


def resolve(source: Source, site: SiteFile, study: Study) -> list[Mapped]:
    """Return where each column of the study is found.

    Raises:
        TableError: the source lacks a column, or has it twice.
        SettingsError: a unit is not known or measures something else.
    """
    there = named_columns(source)
    rules = {rule.study: rule for rule in site.columns}
    plain = {
        wanted: ColumnRule(study=wanted.name, local=wanted.name) for wanted in wanted_columns(study)
    }
    found = {wanted: rules.get(wanted.name, rule) for wanted, rule in plain.items()}
    _check_present(found, rules, there, where=source.where)
    units = {column.name: column.unit for column in there}
    return [
        mapped(wanted, rule, site, stated=units.get(rule.local, ""))
        for wanted, rule in found.items()
    ]


def named_columns(source: Source) -> list[LocalColumn]:
    """Return a source's columns, once their names look like names.

    Raises:
        TableError: the source cannot be read, or its first row is a patient's.
    """
    there = source.columns()
    values = [isinstance(cell_of(c.name), float) or c.name.strip() in ("", "?") for c in there]
    if there and sum(values) * 2 >= len(there):
        # The names are not quoted: they would be the first patient's entries.
        raise TableError(
            "the columns have no names: the first row looks like a patient's",
            where=source.where,
            remedy="export the table with a header row",
        )
    return there


def mapped(wanted: Wanted, rule: ColumnRule, site: SiteFile, *, stated: str = "") -> Mapped:
    """Return a column with what its rule says of entries.

    stated: the unit that the source says; the rule's own comes first, and a study that gives none
    asks for none.

    Raises:
        SettingsError: the unit is not known or measures something else.
    """
    missing = frozenset(map(cell_of, (*site.rows.missing, *rule.missing)))
    values = {cell_of(here): cell_of(value) for here, value in rule.values.items()}
    if wanted.feature is None or wanted.feature.kind != "numeric":
        return Mapped(wanted, rule.local, "", Conversion(), missing, values)
    unit = rule.unit or (stated if wanted.feature.unit else "")
    change = conversion(
        unit,
        wanted.feature.unit,
        concept=concept_of(wanted.name),
        molar_mass=rule.molar_mass,
        where=f"column {wanted.name} of the study, here {rule.local}",
    )
    return Mapped(wanted, rule.local, unit, change, missing, values, stated)


def _check_present(
    found: Mapping[Wanted, ColumnRule],
    rules: Mapping[str, ColumnRule],
    there: Sequence[LocalColumn],
    *,
    where: str,
) -> None:
    names = Counter(column.name for column in there)
    absent = [
        rule
        for wanted, rule in found.items()
        if not names[rule.local] and (rule.local or wanted.role == "patient")
    ]
    if absent:
        first = absent[0]
        why = "it may have been renamed" if first.study in rules else NO_RULE
        more = f", and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise TableError(
            f"column {first.study} of the study needs column {first.local} here, which is not "
            f"there{more}",
            where=where,
            remedy=f"{why}; `wardround node map` proposes another, or correct [[columns]]: "
            'local = "" says that this hospital has none',
        )
    if twice := [rule.local for rule in found.values() if names[rule.local] > 1]:
        raise TableError(f"column {twice[0]} is there twice", where=where, remedy="keep one")
