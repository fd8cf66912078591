"""A personal model: a federation's starts, mixed by its gate, adapted to k patients of a hospital.

personal.json          what it is, and the SHA-256 of every other file; written last
personal.safetensors   the k patients' encoded values and labels: patient data
study.toml, model/     the study, and the starts and the gate that are needed
card.html              how good it is on the k patients
model.onnx             the same model for other programs; it contains the k patients too
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from client.own import find_task
from common.errors import NonFiniteError, RunFolderError
from common.features import allowed_inputs
from common.files import write_atomically
from common.personal.candidates import Panel, panel
from common.personal.conformal import Reference
from common.personal.gate import Mixed, Scale, mix
from common.personal.portfolio import Portfolio, read_portfolio, write_portfolio
from common.personal.predictor import Predictor
from common.personal.starts import Start
from common.study import Study, TaskRule, read_study, study_toml

FILE, SUPPORT, CARD, ONNX = "personal.json", "personal.safetensors", "card.html", "model.onnx"
AGREE = 1e-5
"""How far the fitted module may be from panel and gate."""


@dataclass(frozen=True)
class Personal:
    """What a personal model is made of: x [k, inputs] float32, y [k] of 0 and 1."""

    portfolio: Portfolio
    study: Study
    task: TaskRule
    x: Tensor
    y: Tensor
    coverage: float


@dataclass(frozen=True)
class Fit:
    """A personal model, fitted. new: no start was trained for the diagnosis.

    tasks: validation tasks that taught the gate, 0 if none did; learned_at: the k of the gate.
    """

    starts: list[Start]
    panel: Panel
    mixed: Mixed
    at: Scale
    reference: Reference
    predictor: Predictor
    learned_at: int
    tasks: int
    new: bool


def fit(personal: Personal) -> Fit:
    """Return the fitted model; the same patients give the same model.

    Raises:
        NonFiniteError: the predictions are not finite.
    """
    starts, rule = personal.portfolio.for_task(personal.task.name)
    x, y, k = personal.x.double(), personal.y.long(), len(personal.y)
    learned_at = rule.gate.nearest(k)
    at = rule.gate.at[learned_at]
    made = panel(starts, x[None], y[None], x)
    mixed = _mixed(at, made, y[None].float(), personal.task.name)
    weights = dict(zip(made.candidates, mixed.weights[:, 0].tolist(), strict=True))
    bare = mix(at._replace(intercept_sd=0.0), made, y[None].float())
    shift = float((mixed.logits - bare.logits)[0, 0])
    allowed = torch.from_numpy(allowed_inputs(personal.study.features, personal.task))
    predictor = Predictor(starts, x, y, allowed, weights=weights, at=at, shift=shift)
    _check(predictor(x), mixed.logits[0].sigmoid(), personal.task.name)
    portfolio, task = personal.portfolio, personal.task.name
    new = rule is portfolio.rules.get("new") and task not in portfolio.trained
    reference = rule.references[learned_at]
    return Fit(starts, made, mixed, at, reference, predictor, learned_at, rule.gate.tasks, new)


def _mixed(at: Scale, made: Panel, y: Tensor, task: str) -> Mixed:
    try:
        return mix(at, made, y)
    except ValueError as error:
        raise NonFiniteError(
            str(error), where=task, remedy="take a model of this version of wardround"
        ) from error


def _check(found: Tensor, expected: Tensor, task: str) -> None:
    """Refuse a model whose one-by-one predictions are not those of panel and gate."""
    if not float((found.float() - expected).abs().max()) <= AGREE:  # NaN too
        raise NonFiniteError(
            "the adapted model's predictions are not finite, or not reproducible",
            where=task,
            remedy="use the shared model as it is, and report this",
        )


def write_personal(
    folder: Path,
    personal: Personal,
    fitted: Fit,
    *,
    card: str,
    onnx: bytes | None,
    about: Mapping[str, Any],
) -> None:
    """Write the folder; all its files can be read by their owner alone.

    Raises:
        RunFolderError: the folder holds a personal model already.
    """
    if (folder / FILE).exists():
        raise RunFolderError(
            "there is a personal model already", where=str(folder), remedy="name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_portfolio(folder / "model", _needed(personal.portfolio, personal.task.name, fitted))
    write_atomically(folder / "study.toml", study_toml(personal.study).encode())
    write_atomically(folder / SUPPORT, save({"x": personal.x, "y": personal.y}))
    write_atomically(folder / CARD, card.encode())
    if onnx is not None:
        write_atomically(folder / ONNX, onnx)
    whole = {
        "schema": 1,
        "task": personal.task.name,
        "coverage": personal.coverage,
        "study": personal.study.id,
        "patients": len(personal.y),
        "about": about,
        "sha256": _digests(folder),
    }
    write_atomically(folder / FILE, json.dumps(whole, indent=1).encode())


def _needed(portfolio: Portfolio, task: str, fitted: Fit) -> Portfolio:
    pairs = [
        (start, study)
        for start, study in zip(portfolio.starts, portfolio.studies, strict=True)
        if any(start is one for one in fitted.starts)
    ]
    _, used = portfolio.for_task(task)
    rules = {kind: rule for kind, rule in portfolio.rules.items() if rule is used}
    starts, studies = zip(*pairs, strict=True)
    return Portfolio(starts, studies, rules, portfolio.origin, portfolio.trained)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != FILE)
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def read_personal(folder: Path) -> Personal:
    """Return the personal model in a folder.

    Raises:
        RunFolderError: the folder is none, or a file was changed.
    """
    path = folder / FILE
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole["schema"] != 1:
            raise ValueError("unknown schema")
        task, coverage, expected = str(whole["task"]), float(whole["coverage"]), whole["sha256"]
        found = _digests(folder)
        if changed := [name for name, one in expected.items() if found.get(name) != one]:
            raise RunFolderError(
                f"{changed[0]} is missing or was changed",
                where=str(folder),
                remedy="adapt again, or copy the whole folder again",
            )
        support = load((folder / SUPPORT).read_bytes())
        x, y = support["x"], support["y"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise RunFolderError(
            "this is no personal model, or it is damaged",
            where=str(path),
            remedy="name the folder that wardround adapt wrote",
        ) from error
    study = read_study(folder / "study.toml")
    rule = find_task(study, task, where=str(folder))
    return Personal(read_portfolio(folder / "model"), study, rule, x, y, coverage)
