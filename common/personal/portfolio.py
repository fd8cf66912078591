"""The published model folder: what a hospital needs to adapt, and nothing about any patient.

portfolio.json              starts, and the gates with what they were learned from
starts/NAME/study.toml      the study of a start
starts/NAME/initialization.safetensors
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from common.errors import RunFolderError, SettingsError
from common.files import write_atomically
from common.learner import Learner, make_learner
from common.parameters import Params, all_finite
from common.personal.conformal import GRID, TRUST, Floats, Reference
from common.personal.gate import Gate, Scale
from common.personal.starts import Start
from common.study import Study, read_study, study_toml

Kind = Literal["known", "new"]
"""Whether a start was trained for the very diagnosis."""
FILE, INITIALIZATION = "portfolio.json", "initialization.safetensors"


@dataclass(frozen=True)
class Rule:
    """A gate, and the references of its prediction sets by k."""

    gate: Gate
    references: Mapping[int, Reference]


@dataclass(frozen=True)
class Portfolio:
    """The starts of a federation and the rules by which they are mixed, by kind of diagnosis.

    trained: diagnoses that starts for any (`task` is "") were trained for too, if that is known.
    """

    starts: Sequence[Start]
    studies: Sequence[Study]
    rules: Mapping[Kind, Rule]
    origin: str
    trained: tuple[str, ...] = ()

    def for_task(self, task: str) -> tuple[list[Start], Rule]:
        """Return the starts that fit a diagnosis, and the rule that mixes them.

        Raises:
            RunFolderError: the folder has no rule for a diagnosis of this kind.
        """
        known = "known" in self.rules and any(start.task == task for start in self.starts)
        kind: Kind = "known" if known else "new"
        if kind not in self.rules:
            raise RunFolderError(
                f"the model folder has no gate for {task}, which it was not trained for",
                where=FILE,
                remedy="take a model that was trained with validation on new diagnoses",
            )
        starts = [s for s in self.starts if s.fits(task) and (known or not s.task)]
        return starts, self.rules[kind]


def write_portfolio(folder: Path, portfolio: Portfolio) -> None:
    """Write the model folder; `portfolio.json` last, so that a folder that has it is whole."""
    listed = []
    for number, (start, study) in enumerate(zip(portfolio.starts, portfolio.studies, strict=True)):
        own = folder / "starts" / f"{number:02d}-{start.name}"
        own.mkdir(parents=True, exist_ok=True)
        write_atomically(own / "study.toml", study_toml(study).encode())
        tensors = {name: p.contiguous() for name, p in start.meta.items()}
        write_atomically(own / INITIALIZATION, save(tensors))
        listed.append({"name": start.name, "task": start.task, "folder": own.name})
    rules = {kind: _rule_json(rule) for kind, rule in portfolio.rules.items()}
    whole = {"schema": 1, "origin": portfolio.origin, "starts": listed, "rules": rules}
    whole["trained"] = list(portfolio.trained)
    write_atomically(folder / FILE, json.dumps(whole, indent=1, allow_nan=False).encode())


def read_portfolio(folder: Path) -> Portfolio:
    """Return the portfolio in a model folder.

    Raises:
        RunFolderError: the folder is incomplete or damaged.
        SettingsError: a start's algorithm is not installed here.
    """
    path = folder / FILE
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole["schema"] != 1 or not set(whole["rules"]) <= set(get_args(Kind)):
            raise ValueError("unknown schema")
        rules = {kind: _rule(given) for kind, given in whole["rules"].items()}
        listed = [
            (str(s["name"]), str(s["task"]), folder / "starts" / _plain(s["folder"]))
            for s in whole["starts"]
        ]
        origin, trained = str(whole["origin"]), tuple(map(str, whole.get("trained", ())))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(path, "name the folder `model` that wardround compare wrote") from error
    studies = [_study(own / "study.toml") for *_, own in listed]
    starts = [
        _start(name, task, study, own)
        for (name, task, own), study in zip(listed, studies, strict=True)
    ]
    return Portfolio(starts, studies, rules, origin, trained)


def _damaged(path: Path, remedy: str) -> RunFolderError:
    return RunFolderError(
        "this is no model folder, or it is damaged", where=str(path), remedy=remedy
    )


def _plain(name: str) -> str:
    """Return the name of a folder, which must lead nowhere else."""
    if name in ("", "..") or Path(name).name != name:
        raise ValueError("no plain name")
    return name


def _study(path: Path) -> Study:
    try:
        return read_study(path)
    except SettingsError as error:
        raise _damaged(path, "copy the folder again") from error


def _start(name: str, task: str, study: Study, own: Path) -> Start:
    learner = make_learner(study, seed=0)
    return Start(name, learner, read_initialization(own / INITIALIZATION, learner), task)


def read_initialization(path: Path, learner: Learner) -> Params:
    """Return the tensors of a file, in the order of the learner's own.

    Raises:
        RunFolderError: the file cannot be read, or holds others.
    """
    try:
        meta = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise RunFolderError(
            "the initialization cannot be read", where=str(path), remedy="copy the folder again"
        ) from error
    expected = {name: (p.shape, p.dtype) for name, p in learner.initial.items()}
    if {name: (p.shape, p.dtype) for name, p in meta.items()} != expected or not all_finite(meta):
        raise RunFolderError(
            "the initialization does not fit its study",
            where=str(path),
            remedy="copy the folder again",
        )
    return {name: meta[name] for name in expected}


def _rule_json(rule: Rule) -> dict[str, Any]:
    return {
        "tasks": rule.gate.tasks,
        "at": {str(k): at._asdict() for k, at in rule.gate.at.items()},
        "references": {
            str(k): {
                "scores": [quantiles.round(6).tolist() for quantiles in reference.scores],
                "familiar": reference.familiar,
                "trust": reference.trust,
            }
            for k, reference in rule.references.items()
        },
    }


def _rule(given: Mapping[str, Any]) -> Rule:
    at = {int(k): _scale(**scale) for k, scale in given["at"].items()}
    references = {
        int(k): Reference(
            (_quantiles(one["scores"][0]), _quantiles(one["scores"][1])),
            _number(one["familiar"]),
            _number(one.get("trust", TRUST)),
        )
        for k, one in given["references"].items()
    }
    return Rule(Gate(at, int(given["tasks"])), references)


def _scale(log_weights: Mapping[str, float], **others: float) -> Scale:
    logs = {name: _number(value) for name, value in log_weights.items()}
    return Scale(logs, **{name: _number(value) for name, value in others.items()})


def _quantiles(given: Sequence[float]) -> Floats:
    found = np.array([_number(value) for value in given])
    if found.shape != GRID.shape:
        raise ValueError("not as many quantiles as there should be")
    return found


def _number(given: float) -> float:
    if not math.isfinite(given):
        raise ValueError("not a finite number")
    return float(given)
