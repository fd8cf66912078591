"""One column of one chunk: its entries as the study's, and which of them are impossible.

An impossible entry is marked by the number of its reason and is missing from the values; what
becomes of its row is decided once all is read. Entries are compared as client.cells does.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.cells import Cell, Column, cell_of, yes_no
from client.mapping.columns import Mapped
from common.study import Feature

Reasons = NDArray[np.int8]
NUMBER, DATE, COMMA, BOUND, INFINITE, RANGE, YES_NO, CATEGORY = range(1, 9)
REASONS = {
    NUMBER: ("with no number", "correct them, or list them under `missing` in site.toml"),
    DATE: (
        "with a date, not a number",
        "map another column, or compute the number from the date",
    ),
    COMMA: ("with a decimal comma", "export numbers with a decimal point"),
    BOUND: ("with a limit, such as below 1", "say under `values` which number each stands for"),
    INFINITE: ("with an infinite number", "list them under `missing` in site.toml"),
    RANGE: (
        "out of the plausible range",
        "check `unit`; if they mean that nothing was measured, list them under `missing`",
    ),
    YES_NO: ("other than yes or no", "say under `values` which are 1 and which 0"),
    CATEGORY: ("that the study does not list", "say under `values` which category each is"),
}
"""What is said of impossible entries, and what to do about them."""

LARGEST = 2.0**53
"""Above it not every whole number is a float."""

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T].*)?|\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d\d)( .*)?")
_COMMA = re.compile(r"[-+]?\d+,\d+")
_BOUND = re.compile(r"[<>\N{LESS-THAN OR EQUAL TO}\N{GREATER-THAN OR EQUAL TO}]=?\s*[\d.,]+")
Meaning = Callable[[Cell], tuple[float, int]]


class Entries(NamedTuple):
    """A column's entries. reasons: 0 where an entry is possible, or missing [n]."""

    values: "pd.Series[Any] | pd.Categorical"
    reasons: Reasons


def entries_of(column: Column, place: Mapped) -> Entries:
    """Return a chunk's column in compact types: float32, or categories."""
    feature = place.wanted.feature
    if feature is None:
        names = place.wanted.role == "patient"
        values = names_in(column) if names else _labels(column, place)
        return Entries(values, np.zeros(len(column), dtype=np.int8))
    match feature.kind:
        case "numeric":
            return _numbers(column, place, feature)
        case "binary":
            said, reasons = _decoded(column, place, _said_yes)
            return Entries(pd.Series(said.astype(np.float32)), reasons)
        case "category":
            return _categories(column, place, feature)
        case _:
            assert_never(feature.kind)


def names_in(column: Column) -> "pd.Series[Any]":
    """Return patients' names as text; 7 and 7.0 are one patient, 007 in a text is another.

    A column of whole numbers becomes one of fractions in a chunk where a name is missing.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        numbers = column.dropna()
        if ((numbers % 1 == 0) & (numbers.abs() < LARGEST)).all():
            column = column.astype("Int64")
    return column.astype("str").str.strip().fillna("").reset_index(drop=True)


def _numbers(column: Column, place: Mapped, feature: Feature) -> Entries:
    values, reasons = read_numbers(column, place)
    values = place.conversion(values)
    low, high = feature.plausible or (-np.inf, np.inf)
    reasons = np.where(np.isinf(values), INFINITE, reasons)
    strange = (values < low) | (values > high)  # False where the value is missing
    reasons = np.where((reasons == 0) & strange, RANGE, reasons).astype(np.int8)
    values[reasons != 0] = np.nan
    return Entries(pd.Series(_compact(values, low, high)), reasons)


def read_numbers(column: Column, place: Mapped) -> tuple[NDArray[np.float64], Reasons]:
    """Return a column's numbers in the hospital's unit, NaN where missing or none [n]."""
    kind = column.dtype
    if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind) or place.renamed:
        return _decoded(column, place, _said_number)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    marks = [mark for mark in place.missing if isinstance(mark, float)]
    values[np.isin(values, marks)] = np.nan
    return values, np.zeros(len(column), dtype=np.int8)


def _compact(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float32]:
    """Return values as float32 that lie within the bounds still: 7.9 rounds up to 7.9000001."""
    low, high = np.float64(low), np.float64(high)  # a plain float would be rounded to float32 too
    compact = values.astype(np.float32)
    compact = np.where(compact > high, np.nextafter(compact, np.float32(-np.inf)), compact)
    return np.where(compact < low, np.nextafter(compact, np.float32(np.inf)), compact)


def _categories(column: Column, place: Mapped, feature: Feature) -> Entries:
    names = list(dict.fromkeys(map(str, feature.categories)))
    index: dict[Cell, float] = {cell_of(name): float(i) for i, name in enumerate(names)}

    def said(cell: Cell) -> tuple[float, int]:
        return (index[cell], 0) if cell in index else (np.nan, CATEGORY)

    values, reasons = _decoded(column, place, said)
    codes: NDArray[np.int64] = np.where(np.isnan(values), -1, values).astype(np.int64)
    return Entries(_categorical(codes, names), reasons)


def _labels(column: Column, place: Mapped) -> pd.Categorical:
    """Return labels as they are, in text, once missing marks and renamings are applied."""
    codes, entries = pd.factorize(column)
    texts: list[str | None] = []
    for entry in entries:
        cell = cell_of(entry)
        other = place.renamed.get(cell)
        text = str(entry).strip() if other is None else str(other)
        unknown = cell in place.missing or cell_of(text) == ""
        texts.append(None if unknown else text)
    names = list(dict.fromkeys(text for text in texts if text is not None))
    index = {name: i for i, name in enumerate(names)}
    places = np.array([-1 if text is None else index[text] for text in texts] + [-1])
    return _categorical(places[codes], names)


def _categorical(codes: NDArray[np.int64], names: list[str]) -> pd.Categorical:
    """Return texts by their index in names, -1 where missing; the type is the same if all are."""
    made: pd.Categorical = pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="str"))
    return made


def _decoded(
    column: Column, place: Mapped, meaning: Meaning
) -> tuple[NDArray[np.float64], Reasons]:
    """Return each entry's value, NaN where missing, and the reasons [n]; each kind is read once."""
    codes, entries = pd.factorize(column)
    read = [_read(cell_of(entry), place, meaning) for entry in entries] + [(np.nan, 0)]
    values = np.array([value for value, _ in read])
    reasons = np.array([reason for _, reason in read], dtype=np.int8)
    return values[codes], reasons[codes]


def _read(cell: Cell, place: Mapped, meaning: Meaning) -> tuple[float, int]:
    if cell in place.missing:
        return np.nan, 0
    cell = place.renamed.get(cell, cell)
    return (np.nan, 0) if cell == "" else meaning(cell)


def _said_yes(cell: Cell) -> tuple[float, int]:
    said = yes_no(cell)
    return (np.nan, YES_NO) if said is None else (said, 0)


def _said_number(cell: Cell) -> tuple[float, int]:
    if isinstance(cell, float):
        return cell, 0
    for form, reason in ((_DATE, DATE), (_COMMA, COMMA), (_BOUND, BOUND)):
        if form.fullmatch(cell):
            return np.nan, reason
    return np.nan, NUMBER
