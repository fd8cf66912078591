"""A hospital's own table: read, checked and encoded at the edge.

Rows are counted from 1, the header not among them. An error names a column, how many rows offend
and the first of them; it never quotes an entry, because every entry is a patient's.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.cells import EMPTY_CELLS, Column, Texts, feature_values, labels_of, names_of, refuse
from client.groups import group_names
from common.errors import TableError
from common.features import encode
from common.patients import MISSING, Patients
from common.study import Study, TaskRule


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
    uses = {task.column: f"task {task.name}" for task in study.tasks}
    if not site or study.columns.site in frame:
        uses[study.columns.site] = "site"
    _check_columns(frame, study, uses, where=where)
    sites = _sites(frame, study, where=where, site=site)
    labels = np.stack([labels_of(frame[task.column], task) for task in study.tasks], axis=1)
    _check_classes(labels, study, where=where, one_site=bool(site))
    everyone = _encoded(frame, study, labels, where=where)
    names, index = np.unique(sites, return_inverse=True)
    return {
        name: replace(everyone.take(np.flatnonzero(index == i)), site=name)
        for i, name in enumerate(map(str, names))
    }


def patients_of_one_site(
    frame: pd.DataFrame, study: Study, *, where: str, labelled: TaskRule | None
) -> tuple[Texts, Patients]:
    """Return the names [n] of a hospital's patients, and the patients, in the order of the rows.

    labelled: the diagnosis whose labels are read, of one class if it be so; all other columns of
    labels may be missing, and their labels are. None reads no label.

    Raises:
        TableError: a column is missing, or an entry is not what the study says.
    """
    uses = {labelled.column: f"task {labelled.name}"} if labelled else {}
    _check_columns(frame, study, uses, where=where)
    labels = np.full((len(frame), len(study.tasks)), MISSING)
    if labelled:
        labels[:, study.tasks.index(labelled)] = labels_of(frame[labelled.column], labelled)
    patients = _encoded(frame, study, labels, where=where)
    return names_of(frame[study.columns.patient], where=where), patients


def _encoded(
    frame: pd.DataFrame, study: Study, labels: NDArray[np.int64], *, where: str
) -> Patients:
    _check_patients(frame[study.columns.patient], where=where)
    values = {f.name: feature_values(frame[f.name], f, where=where) for f in study.features}
    return Patients("", encode(values, study.features), labels, group_names(values, study))


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


def _check_columns(
    frame: pd.DataFrame, study: Study, uses: Mapping[str, str], *, where: str
) -> None:
    """Refuse a table without a patient, a feature or one of the columns whose uses are named."""
    if frame.empty:
        raise TableError("the table has no rows", where=where, remedy="add patients")
    needed = {study.columns.patient: "patient"} | {f.name: "feature" for f in study.features}
    needed |= uses
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
    ids = names_of(column, where=where)
    repeats = pd.Series(ids).duplicated().to_numpy()
    refuse(column, repeats, "repeating another row's patient", where, "keep one row a patient")


def _sites(frame: pd.DataFrame, study: Study, *, where: str, site: str) -> Texts:
    """Return the site of each row [n]."""
    if study.columns.site not in frame:
        return np.full(len(frame), site)
    column = frame[study.columns.site]
    sites = names_of(column, where=where)
    if site:
        remedy = "give each hospital its own rows only, or columns.site another name"
        refuse(column, sites != site, f"naming another site than {site}", where, remedy)
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
