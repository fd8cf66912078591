"""What `wardround adapt` does: read, fit, weigh, write."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from client.card import card_html
from client.evidence import ADAPTED, Evidence, Value, as_json, weigh
from client.export import NotExportable, export
from client.own import choose_study, find_task, read_labelled
from client.personal import CARD, FILE, ONNX, Fit, Personal, fit, write_personal
from client.words import sentence, warnings
from common.errors import RunFolderError
from common.personal.published import read_model


class Made(NamedTuple):
    """A new personal model, and what is said about it."""

    personal: Personal
    fitted: Fit
    evidence: Evidence
    about: dict[str, Any]


def adapt(
    model: Path,
    data: Path,
    task: str,
    output: Path,
    *,
    study: Path | None = None,
    site: str = "",
    coverage: float = 0.9,
) -> Made:
    """Adapt the model folder's starts to the labelled patients and write the personal model.

    Raises:
        WardroundError: a folder, the study or the table cannot be used; nothing is written then.
    """
    torch.set_num_threads(1)
    if (output / FILE).exists():
        raise RunFolderError(
            "there is a personal model already", where=str(output), remedy="name another folder"
        )
    portfolio = read_model(model)
    chosen = choose_study(portfolio, study, where=str(model))
    rule = find_task(chosen, task, where=str(study or model))
    own = read_labelled(data, chosen, rule, site=site)
    personal = Personal(portfolio, chosen, rule, own.x, torch.from_numpy(own.y), coverage)
    fitted = fit(personal)
    evidence = weigh(personal, fitted)
    onnx, why = _exported(fitted, personal)
    about = _about(personal, fitted, evidence) | {"onnx": why or ONNX}
    card = card_html(personal, fitted, evidence, about)
    write_personal(output, personal, fitted, card=card, onnx=onnx, about=about)
    return Made(personal, fitted, evidence, about)


def _exported(fitted: Fit, personal: Personal) -> tuple[bytes | None, str]:
    """Return the ONNX file, or why there is none."""
    try:
        return export(fitted.predictor, personal.x), ""
    except NotExportable as reason:
        return None, str(reason)


def _about(personal: Personal, fitted: Fit, evidence: Evidence) -> dict[str, Any]:
    k, positives = len(personal.y), int(personal.y.sum())
    return {
        "schema": 1,
        "task": personal.task.name,
        "patients": k,
        "positives": positives,
        "study": personal.study.id,
        "origin": personal.portfolio.origin,
        "starts": [
            {
                "name": s.name,
                "task": s.task,
                "algorithm": s.learner.algorithm.name,
                "rounds": s.learner.rounds,
            }
            for s in fitted.starts
        ],
        "validation_tasks": fitted.tasks,
        "gate_learned_at": fitted.learned_at,
        "new_diagnosis": fitted.new,
        "set_coverage": personal.coverage,
        **as_json(evidence),
        "sentence": sentence(personal, evidence),
        "warnings": warnings(personal, fitted, evidence),
    }


def show(made: Made, output: Path) -> None:
    """Print a short table and the conclusion on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    about, console = made.about, Console()
    title = f"{about['task']}: {about['patients']} labelled patients, {about['positives']} with it"
    table = Table(title=f"{title}; each left out in turn", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("", "AUROC", "Brier", "log-loss"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, score in made.evidence.scores.items():
        style = "bold" if name == ADAPTED else ""
        table.add_row(name, *(_cell(value) for value in score), style=style)
    console.print(table)
    lines = [about["sentence"], *(f"Note: {text}" for text in about["warnings"])]
    if about["onnx"] != ONNX:
        lines.append(f"No ONNX file: {about['onnx']}")
    for line in (*lines, f"Card: {output / CARD}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _cell(value: Value) -> str:
    if value.mean is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} {value.low:.2f}-{value.high:.2f}"
