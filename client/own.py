"""A hospital's own patients for one diagnosis, as the commands for personal models read them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.cells import Texts, names_of
from client.table import patients_of_one_site, read_table
from common.errors import SettingsError, TableError
from common.features import allowed_inputs
from common.patients import MISSING, tasks_of
from common.personal.portfolio import Portfolio
from common.study import Feature, Study, TaskRule, read_study


class Own(NamedTuple):
    """Patients' names [n], inputs x [n, inputs] with the forbidden ones blank, labels y [n]."""

    names: Texts
    x: Tensor
    y: NDArray[np.int64]


def choose_study(portfolio: Portfolio, given: Path | None, *, where: str) -> Study:
    """Return the study of a model folder's starts, or the given one if its features are the same.

    Raises:
        SettingsError: the features differ, or the given study is not valid.
    """
    first = portfolio.studies[0]
    study = read_study(given) if given else first
    for number, other in enumerate(portfolio.studies):
        whose = f"{given or where} and the study of start {portfolio.starts[number].name}"
        if difference := first_difference(study.features, other.features):
            raise SettingsError(
                difference, where=whose, remedy="give the study the features of the model"
            )
    return study


def first_difference(own: tuple[Feature, ...], other: tuple[Feature, ...]) -> str:
    """Return in words where two lists of features first differ, or "" if they do not."""
    for mine, theirs in zip(own, other, strict=False):
        if mine.name != theirs.name:
            return f"feature {mine.name} stands where the model has {theirs.name}"
        for key, value in mine.model_dump().items():
            if value != getattr(theirs, key):
                return f"feature {mine.name} differs from the model's in {key}"
    if len(own) != len(other):
        longer = max(own, other, key=len)[min(len(own), len(other))].name
        return f"feature {longer} is in one study only"
    return ""


def find_task(study: Study, task: str, *, where: str) -> TaskRule:
    """Return the rule of a task.

    Raises:
        SettingsError: the study has no such task.
    """
    for rule in study.tasks:
        if rule.name == task:
            return rule
    known = ", ".join(rule.name for rule in study.tasks)
    raise SettingsError(
        f"the study has no task {task}",
        where=where,
        remedy=f"name one of: {known}; or give a --study that has it, with the same features",
    )


def read_labelled(path: Path, study: Study, rule: TaskRule, *, site: str = "") -> Own:
    """Return the patients whose label of the task is known, in order of their names.

    Raises:
        TableError: the table cannot be used as it is, or no patient has a label.
    """
    where = str(path)
    frame = _one_site(read_table(path), study, where=where, site=site)
    names, patients = patients_of_one_site(frame, study, where=where, labelled=rule)
    if (patients.labels[:, study.tasks.index(rule)] == MISSING).all():
        raise TableError(
            f"no patient has a label in column {rule.column}",
            where=where,
            remedy="label some patients first",
        )
    (task,) = tasks_of(patients, study, [rule.name], min_per_class=0)
    order = np.argsort(names[task.patient], kind="stable")
    return Own(names[task.patient][order], torch.from_numpy(task.x[order]), task.y[order])


def read_unlabelled(path: Path, study: Study, rule: TaskRule) -> Own:
    """Return all patients in the order of the rows; no label is looked at.

    Raises:
        TableError: the table cannot be used as it is.
    """
    names, patients = patients_of_one_site(read_table(path), study, where=str(path), labelled=None)
    x = patients.x * allowed_inputs(study.features, rule)
    return Own(names, torch.from_numpy(x), patients.labels[:, study.tasks.index(rule)])


def _one_site(frame: pd.DataFrame, study: Study, *, where: str, site: str) -> pd.DataFrame:
    """Return the rows of the site, or all if the table is of one site."""
    column = study.columns.site
    if list(frame.columns).count(column) != 1:
        if site:
            raise TableError(
                f"the table has no column {column}, or more than one",
                where=where,
                remedy="leave --site out, or add the column",
            )
        return frame
    sites = names_of(frame[column], where=where)
    if not site and len(set(sites)) > 1:
        raise TableError(
            f"column {column} names {len(set(sites))} sites",
            where=where,
            remedy="say with --site whose patients to take",
        )
    if site and site not in sites:
        raise TableError(
            f"column {column} has no row of {site}", where=where, remedy="correct --site"
        )
    return frame[sites == site] if site else frame
