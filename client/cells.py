"""What the cells of a hospital's table mean; offending ones are counted, never quoted."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.errors import TableError
from common.features import plausible
from common.patients import MISSING
from common.study import Feature, TaskRule

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Cell = float | str
Column = pd.Series  # of any type, as the table has it

EMPTY_CELLS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What counts as missing in a CSV file; "None" does not, it is a usual word for no diagnosis."""

_YES_NO: dict[Cell, float] = {0.0: 0, "f": 0, "no": 0, 1.0: 1, "t": 1, "yes": 1}


def feature_values(column: Column, feature: Feature, *, where: str) -> Floats:
    """Return a feature's values [n]: a category as its index in the list, NaN where missing."""
    if feature.kind == "binary":
        values, refused = _decode(column, yes_no)
        refuse(column, refused, "other than yes or no", where, "use 0/1, t/f, true/false, yes/no")
    elif feature.kind == "category":
        index: dict[Cell, float] = {cell_of(v): float(i) for i, v in enumerate(feature.categories)}
        values, refused = _decode(column, index.get)
        remedy = "correct them, or list the category in the study"
        refuse(column, refused, "that the study does not list", where, remedy)
    else:
        values, refused = _decode(column, lambda c: c if isinstance(c, float) else None)
        refuse(column, refused, "that are no number", where, "leave a missing entry empty")
        refuse(column, np.isinf(values), "that are infinite", where, "leave them empty")
        values = plausible(values, feature)
    return values


def labels_of(column: Column, task: TaskRule) -> NDArray[np.int64]:
    """Return the label of each row [n]: 1, 0, or MISSING where the entry is."""
    positive = {cell_of(value) for value in task.positive}
    values, _ = _decode(column, lambda cell: float(cell in positive))
    return np.where(np.isnan(values), MISSING, values).astype(np.int64)


def _decode(
    column: Column, meaning: Callable[[Cell], float | None]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the value of each row [n], NaN where missing, and which rows have no meaning [n]."""
    codes, entries = pd.factorize(column)  # a missing entry has code -1, the last of the two lists
    cells = [cell_of(entry) for entry in entries] + [""]
    found = [np.nan if cell == "" else meaning(cell) for cell in cells]
    values = np.array([np.nan if value is None else value for value in found])
    return values[codes], np.array([value is None for value in found])[codes]


def cell_of(entry: object) -> Cell:
    """Return an entry so that equal ones compare equal: 1, 1.0, "1" and true; " F" and "F".

    A missing entry is the empty text.
    """
    text = str(entry).strip()
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    if text in EMPTY_CELLS:
        return ""
    try:
        return text if "_" in text else float(text)  # float("1_5") is 15
    except ValueError:
        return text


def yes_no(cell: Cell) -> float | None:
    """Return 1 or 0 for the usual ways to say yes and no, None for anything else."""
    return _YES_NO.get(cell.lower() if isinstance(cell, str) else cell)


def names_of(column: Column, *, where: str) -> Texts:
    """Return the entries as text [n], none of them empty."""
    names = column.astype("string").str.strip().fillna("").to_numpy(dtype=np.str_)
    refuse(column, names == "", "that are empty", where, "name the patient and site of every row")
    return names


def refuse(column: Column, rows: NDArray[np.bool_], what: str, where: str, remedy: str) -> None:
    """Raise a TableError that counts the offending rows, if there are any."""
    if count := int(rows.sum()):
        entries = "entry" if count == 1 else "entries"
        first = int(np.argmax(rows)) + 1
        message = f"column {column.name} has {count} {entries} {what}, the first in row {first}"
        raise TableError(message, where=where, remedy=remedy)
