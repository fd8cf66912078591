"""Predictions of a personal model, one patient at a time."""

import csv
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from client.cells import Texts
from client.own import read_unlabelled
from client.personal import Fit, Personal, fit, read_personal
from common.errors import SettingsError
from common.files import write_atomically
from common.personal.conformal import prediction_sets, thresholds

DIGITS = 6
UNLIKE = "unlike the patients the model was adapted to"
SETS = {
    (True, True): "yes or no",
    (True, False): "no",
    (False, True): "yes",
    (False, False): "neither",
}
"""Names of prediction sets, by whether "no" and "yes" are in it."""


class Prediction(NamedTuple):
    """A patient's prediction; `reason` says why it is none to act upon, if it is."""

    patient: str
    probability: float
    prediction_set: str
    abstain: bool
    reason: str


def predictions(
    personal: Personal, fitted: Fit, names: Texts, x: Tensor, *, coverage: float
) -> list[Prediction]:
    """Return each patient's prediction; it depends on nothing but the patient's own row x[i].

    Every patient goes through the model alone: products of many rows at once are rounded in ways
    that depend on how many there are.
    """
    own_p = fitted.mixed.left_out[0].sigmoid().double().numpy()
    limits = thresholds(fitted.reference, own_p, personal.y.numpy(), coverage)
    found = []
    with torch.inference_mode():
        for name, row in zip(names, x, strict=True):
            patient = row[None].clone()
            p = round(float(fitted.predictor(patient)), DIGITS)
            no, yes = prediction_sets(np.array([p]), limits)[0].tolist()
            unlike = float(fitted.predictor.unlikeness(patient)) > fitted.reference.familiar
            found.append(Prediction(str(name), p, SETS[no, yes], unlike, UNLIKE if unlike else ""))
    return found


def as_csv(rows: list[Prediction]) -> str:
    """Return the predictions as a CSV table."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Prediction._fields)
    for row in rows:
        writer.writerow(
            [
                row.patient,
                f"{row.probability:.6f}",
                row.prediction_set,
                str(row.abstain).lower(),
                row.reason,
            ]
        )
    return text.getvalue()


def predict(model: Path, data: Path, *, coverage: float | None = None) -> list[Prediction]:
    """Return the predictions of a personal model for the patients of a table, in its order.

    Raises:
        WardroundError: the folder or the table cannot be used.
    """
    torch.set_num_threads(1)
    personal = read_personal(model)
    own = read_unlabelled(data, personal.study, personal.task)
    wanted = personal.coverage if coverage is None else coverage
    return predictions(personal, fit(personal), own.names, own.x, coverage=wanted)


def write(path: Path, text: str) -> None:
    """Write predictions to a file that its owner alone can read.

    Raises:
        SettingsError: the file cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise SettingsError(
            f"the file cannot be written: {error.strerror}",
            where=str(path),
            remedy="name a file in a folder that exists",
        ) from error
