"""A hospital's own table: read, checked and encoded at the edge.

Rows are counted from 1, the header not among them. An error names a column, how many rows offend
and the first of them; it never quotes an entry, because every entry is a patient's.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.groups import group_names
from common.errors import TableError
from common.features import encode, plausible
from common.patients import MISSING, Patients
from common.study import Feature, Study, TaskRule

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Cell = float | str
Column = pd.Series  # of any type, as the table has it

EMPTY_CELLS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What counts as missing in a CSV file; "None" does not, it is a usual word for no diagnosis."""

_YES_NO: dict[Cell, float] = {0.0: 0, "f": 0, "no": 0, 1.0: 1, "t": 1, "yes": 1}


def read_table(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV or Parquet file; the entries of a CSV file stay text.

    Raises:
        TableError: the file cannot be read, has another suffix or holds no rows.
    """
    where = str(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise TableError("this is no table", where=where, remedy="save it as .csv or .parquet")
    try:
        frame = _read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except ImportError:
        raise TableError(
            "reading Parquet needs pyarrow",
            where=where,
            remedy="pip install 'wardround[node]', or save the table as .csv",
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or f"not valid {suffix[1:]}"
        # Not chained: a parser's message can quote what it could not parse.
        raise TableError(
            f"the table cannot be read: {why}", where=where, remedy="name a .csv or .parquet file"
        ) from None
    if frame.empty:
        raise TableError("the table has no rows", where=where, remedy="add patients")
    return frame


def patients_by_site(
    frame: pd.DataFrame, study: Study, *, where: str, site: str = ""
) -> dict[str, Patients]:
    """Return the table's patients, encoded as the study says, by site in order of name.

    A row's encoding depends on that row and the study alone.

    Args:
        frame: one row a patient.
        study: names the columns, their ranges, the diagnoses and the patient groups.
        where: the origin of the table, for errors.
        site: the one site that all rows belong to; a site column is then not needed.

    Raises:
        TableError: a column is missing, or an entry is not what the study says.
        SettingsError: the study divides patients by something that cannot divide them.
    """
    _check_columns(frame, study, where=where, site=site)
    _check_patients(frame[study.columns.patient], where=where)
    sites = _sites(frame, study, where=where, site=site)
    values = {f.name: _feature_values(frame[f.name], f, where=where) for f in study.features}
    labels = np.stack([_labels(frame[task.column], task) for task in study.tasks], axis=1)
    _check_classes(labels, study, where=where, one_site=bool(site))
    everyone = Patients("", encode(values, study.features), labels, group_names(values, study))
    names, index = np.unique(sites, return_inverse=True)
    return {
        name: replace(everyone.take(np.flatnonzero(index == i)), site=name)
        for i, name in enumerate(map(str, names))
    }


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        # The header is read as a row: pandas would silently rename a name that stands twice. All
        # entries stay text: 007 and 7 are two patients.
        cells = pd.read_csv(
            path,
            header=None,
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=list(EMPTY_CELLS),
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    frame: pd.DataFrame = cells[1:].set_axis(list(cells.iloc[0].str.strip()), axis=1)
    return frame.reset_index(drop=True)


def _check_columns(frame: pd.DataFrame, study: Study, *, where: str, site: str) -> None:
    if frame.empty:
        raise TableError("the table has no rows", where=where, remedy="add patients")
    needed = {study.columns.patient: "patient"} | {f.name: "feature" for f in study.features}
    needed |= {task.column: f"task {task.name}" for task in study.tasks}
    if not site or study.columns.site in frame:
        needed[study.columns.site] = "site"
    there = Counter(frame.columns)
    if missing := [f"{column} ({use})" for column, use in needed.items() if not there[column]]:
        raise TableError(
            f"the table lacks {', '.join(missing)}",
            where=where,
            remedy="add the column, or give the study the name that it has",
        )
    if twice := [column for column in needed if there[column] > 1]:
        raise TableError(
            f"the table has {twice[0]} more than once", where=where, remedy="keep one of them"
        )


def _check_patients(column: Column, *, where: str) -> None:
    ids = _names(column, where=where)
    repeats = pd.Series(ids).duplicated().to_numpy()
    _refuse(column, repeats, "repeating another row's patient", where, "keep one row a patient")


def _sites(frame: pd.DataFrame, study: Study, *, where: str, site: str) -> Texts:
    """Return the site of each row [n]."""
    if study.columns.site not in frame:
        return np.full(len(frame), site)
    column = frame[study.columns.site]
    sites = _names(column, where=where)
    if site:
        remedy = "give each hospital its own rows only, or columns.site another name"
        _refuse(column, sites != site, f"naming another site than {site}", where, remedy)
    elif without := {s.name for s in study.sites} - set(sites):
        remedy = f"add its rows to column {column.name}, or take the site out of the study"
        raise TableError(f"site {min(without)} has no patient", where=where, remedy=remedy)
    return sites


def _check_classes(labels: NDArray[np.int64], study: Study, *, where: str, one_site: bool) -> None:
    """Refuse a diagnosis that all patients have, or none: as a rule its values are misspelt.

    A single hospital may lack a diagnosis, but not all of them.
    """
    single = [
        task
        for task, column in zip(study.tasks, labels.T, strict=True)
        if len(np.unique(column[column != MISSING])) < 2
    ]
    if single and (not one_site or len(single) == len(study.tasks)):
        raise TableError(
            f"task {single[0].name} has patients of one class only, or none",
            where=where,
            remedy=f"compare the values in column {single[0].column} with the study's `positive`",
        )


def _feature_values(column: Column, feature: Feature, *, where: str) -> Floats:
    """Return a feature's values [n]: a category as its index in the list, NaN where missing."""
    if feature.kind == "binary":
        values, refused = _decode(column, _yes_no)
        _refuse(column, refused, "other than yes or no", where, "use 0/1, t/f, true/false, yes/no")
    elif feature.kind == "category":
        index: dict[Cell, float] = {_cell(v): float(i) for i, v in enumerate(feature.categories)}
        values, refused = _decode(column, index.get)
        remedy = "correct them, or list the category in the study"
        _refuse(column, refused, "that the study does not list", where, remedy)
    else:
        values, refused = _decode(column, lambda c: c if isinstance(c, float) else None)
        _refuse(column, refused, "that are no number", where, "leave a missing entry empty")
        _refuse(column, np.isinf(values), "that are infinite", where, "leave them empty")
        values = plausible(values, feature)
    return values


def _labels(column: Column, task: TaskRule) -> NDArray[np.int64]:
    positive = {_cell(value) for value in task.positive}
    values, _ = _decode(column, lambda cell: float(cell in positive))
    return np.where(np.isnan(values), MISSING, values).astype(np.int64)


def _decode(
    column: Column, meaning: Callable[[Cell], float | None]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the value of each row [n], NaN where missing, and which rows have no meaning [n]."""
    codes, entries = pd.factorize(column)  # a missing entry has code -1, the last of the two lists
    cells = [_cell(entry) for entry in entries] + [""]
    found = [np.nan if cell == "" else meaning(cell) for cell in cells]
    values = np.array([np.nan if value is None else value for value in found])
    return values[codes], np.array([value is None for value in found])[codes]


def _cell(entry: object) -> Cell:
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


def _yes_no(cell: Cell) -> float | None:
    return _YES_NO.get(cell.lower() if isinstance(cell, str) else cell)


def _names(column: Column, *, where: str) -> Texts:
    """Return the entries as text [n], none of them empty."""
    names = column.astype("string").str.strip().fillna("").to_numpy(dtype=np.str_)
    _refuse(column, names == "", "that are empty", where, "name the patient and site of every row")
    return names


def _refuse(column: Column, rows: NDArray[np.bool_], what: str, where: str, remedy: str) -> None:
    """Raise a TableError that counts the offending rows, if there are any."""
    if count := int(rows.sum()):
        entries = "entry" if count == 1 else "entries"
        first = int(np.argmax(rows)) + 1
        message = f"column {column.name} has {count} {entries} {what}, the first in row {first}"
        raise TableError(message, where=where, remedy=remedy)
