"""The machine-readable parts of a published folder; each holds the fields named here, no others."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from safetensors.torch import save
from torch import Tensor

from common.features import input_names
from common.privacy.profiles import SIMULATED, privacy_statement
from common.publication.manifest import BENEFIT, METRICS
from common.publication.model_file import ModelFile, Record, TensorShape
from server.metrics import METRICS_FILE
from server.publishing.reading import Given, read_object
from server.publishing.small import declares_few, reason

PROGRAMS = ("wardround", "torch", "flwr", "numpy", "safetensors")
RESULTS_FILE, ALL = "results.json", "all"
NO_SECRETS = (
    "Nothing shows that the noise came from secrets of hospitals (a signed study, exported with "
    "the coordinator's folder, would): do not rely on the epsilon."
)
DECLARED = "As the study plans it; how much a hospital has spent is in its own ledger only."
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,60}")
_TASK = ("release", "sites", "dropped", "informative", "estimates", "calibration")
_ROW = ("k", "arm", "minus", "metric", "mean", "low", "high", "tasks")


def versions() -> dict[str, str]:
    """Return the versions of what the export was made with."""
    return {"python": platform.python_version()} | {name: version(name) for name in PROGRAMS}


def tensors(given: Given) -> bytes:
    """Return initialization.safetensors, whose header says whose it is."""
    about = {
        "study": given.study.id,
        "round": str(given.state.round_index),
        "finished": str(given.finished).lower(),
    }
    return save(given.meta, metadata=about)


def records(given: Given) -> bytes:
    """Return rounds.jsonl up to the checkpoint, byte for byte where all reasons are codes."""
    lines = []
    for record in given.records:
        dropped = {site: code(why) for site, why in record.dropped.items()}
        line = asdict(record) | {"dropped": dropped}
        lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return b"".join(lines)


def code(why: str) -> str:
    """Return a reason if it is a plain code: words may come from a site's client."""
    return why if _CODE.fullmatch(why) else "other"


def model_file(given: Given, record: bytes) -> ModelFile:
    """Return model.json; record: rounds.jsonl as it is published."""
    study, settings = given.study, given.learner.settings
    return ModelFile(
        study=study.id,
        name=study.name,
        finished=given.finished,
        rounds=given.state.round_index,
        planned=study.server.rounds,
        algorithm=given.learner.algorithm.name,
        inner_lr=settings.inner_lr,
        inner_steps=settings.inner_steps,
        options=dict(settings.options),
        inputs=tuple(input_names(study.features)),
        outputs=("logit without", "logit with"),
        hidden=study.model.hidden,
        tensors=tuple(
            TensorShape(name=name, shape=tuple(p.shape)) for name, p in given.meta.items()
        ),
        theta_sha256=theta_digest(given.state.meta),
        record=Record(
            study=given.state.study,
            sha256=hashlib.sha256(record).hexdigest(),
            attempts=len(given.records),
            rounds=sum(r.closed for r in given.records),
        ),
        tasks=tuple(task.name for task in study.tasks),
        versions=versions(),
        adapt=not declares_few(study),
    )


def theta_digest(meta: Tensor) -> str:
    """Return the SHA-256 of meta [d] as float32, little-endian, as metrics.json has it."""
    return hashlib.sha256(meta.numpy().astype("<f4").tobytes()).hexdigest()


def privacy(given: Given) -> dict[str, Any]:
    """Return privacy.json: the statement, of the whole plan, and what it rests on.

    epsilon: of sites that let it be shown. at_most: of any site, which names none.
    """
    said = privacy_statement(given.study, private=given.private)
    shown = {site.name for site in given.study.sites if site.show_epsilon}
    costs: Mapping[str, Mapping[str, float]] = said["epsilon"]
    keys = ("replace_one", "zero_out", "delta")
    basis = DECLARED if given.private else SIMULATED if given.simulated else NO_SECRETS
    return {
        "schema": 1,
        "study": given.study.id,
        "finished": given.finished,
        **said,
        "epsilon": {site: dict(cost) for site, cost in costs.items() if site in shown},
        "at_most": {k: max(c[k] for c in costs.values()) for k in keys} if costs else {},
        "unknown": reason(given.study, said["unknown"]),
        "basis": basis if costs else "",
    }


def metrics(given: Given) -> tuple[dict[str, Any] | None, str]:
    """Return metrics.json without any number of patients, and why there is none."""
    found = read_object(given.folder / METRICS_FILE, given.study.id)
    if found is None:
        asked = given.study.evaluation.metric_releases
        why = "the run folder has none" if asked else "the study asks for no metrics"
        return None, f"{METRICS}: {why}"
    if found["theta_sha256"] != theta_digest(given.state.meta):
        return None, f"{METRICS}: those of the run folder are of another initialization"
    head = {key: found[key] for key in ("schema", "study", "round", "theta_sha256", "note", "std")}
    tasks = {name: {key: one[key] for key in _TASK} for name, one in found["tasks"].items()}
    for one in tasks.values():
        one["dropped"] = {site: code(why) for site, why in one["dropped"].items()}
    lacks = {key: _reasons(given, found[key]) for key in ("missing", "refused")}
    return head | {"tasks": tasks} | lacks, ""


def benefit(given: Given) -> tuple[dict[str, Any] | None, str]:
    """Return the table over all held-out tasks that a simulation wrote, and why there is none."""
    found = read_object(given.folder / RESULTS_FILE, given.study.id)
    if found is None or not given.finished:
        return None, f"{BENEFIT}: the run folder has no table of benefit"
    rows = [row for row in found["rows"] if row["held_out"] == ALL]
    return {
        "schema": 1,
        "study": given.study.id,
        "simulated": True,
        "dataset": found["dataset"],
        "scenario": found["scenario"],
        "rows": [_picked(row) for row in rows],
        "differences": [_picked(row) for row in found["differences"]],
    }, ""


def _reasons(given: Given, reasons: Mapping[str, str]) -> dict[str, str]:
    return {task: reason(given.study, why) for task, why in reasons.items()}


def _picked(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in _ROW if key in row}
