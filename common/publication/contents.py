"""The checks of what a published folder says: that all its parts are of one study and one run.

Each returns what it found, or raises `Problem`: a claim that holds is told too.
"""

import hashlib

import numpy as np

from common.errors import InvalidMessage
from common.features import input_names
from common.onnx_files import ROWS, agree, can_run, run
from common.privacy.masking.statements import Signed
from common.publication.folder import Folder, Problem, without_none
from common.publication.manifest import (
    BENEFIT,
    CANONICAL,
    METRICS,
    ONNX,
    PRIVACY,
    RECORDS,
    SEAL,
    STUDY,
    TENSORS,
)
from common.publication.model_file import LAYERS, forward
from common.randomness import generator
from common.signed_study import LABEL as STUDY_LABEL
from common.signed_study import Seal


def check_study(folder: Folder) -> str:
    """Whether the study is the manifest's, and the model one of this study."""
    if not folder.has(STUDY) and not folder.has(CANONICAL):
        return f"{STUDY} is not published; its id is {folder.manifest.study}"
    if hashlib.sha256(folder.bytes(CANONICAL)).hexdigest() != folder.manifest.study:
        raise Problem("it is another study than the manifest's")
    if folder.toml(STUDY) != without_none(folder.json(CANONICAL)):
        raise Problem(f"{STUDY} and {CANONICAL} are not the same study")
    study, model = folder.study, folder.model
    same = (
        list(model.inputs) == input_names(study.features),
        model.tasks == tuple(task.name for task in study.tasks),
        model.planned == study.server.rounds,
        (model.algorithm, model.hidden) == (study.algorithm.name, study.model.hidden),
    )
    if not all(same):
        raise Problem("the model's inputs, tasks, rounds or network are not the study's")
    return f"id {folder.manifest.study}"


def check_seal(folder: Folder, key: str) -> str:
    """Whether the study's signature holds, by the manifest's key and the one that is known."""
    if not folder.has(SEAL):
        return "none: the study is published without its coordinator's signature"
    try:
        signed = Signed.read(folder.bytes(SEAL).decode().strip())
        seal = Seal.read(signed.statement)
        signed.check(bytes.fromhex(seal.key), STUDY_LABEL)
    except (InvalidMessage, UnicodeDecodeError) as error:
        raise Problem("the study's signature is wrong") from error
    if seal.study != folder.manifest.study:
        raise Problem("another study was signed")
    if any(known not in ("", seal.key) for known in (folder.manifest.signer, key)):
        raise Problem(f"another key has signed the study, {seal.key}")
    return f"holds, by {seal.key}"


def check_model(folder: Folder) -> str:
    """Whether model.json is of this run, in this state."""
    model, manifest = folder.model, folder.manifest
    if model.study != manifest.study:
        raise Problem("it is of another study than the manifest")
    same = all(
        getattr(model, field) == getattr(manifest, field)
        for field in ("name", "finished", "rounds", "planned")
    )
    if not same:
        raise Problem("it is of another run, or of another state of it, than the manifest")
    return f"{model.algorithm}, {len(model.inputs)} inputs, {model.hidden} hidden units"


def check_rounds(folder: Folder) -> str:
    """Whether the record is the model's, and has each of its rounds once."""
    record, model, lines = folder.model.record, folder.model, folder.records
    if record.study != folder.manifest.study:
        raise Problem("it is of another study than the manifest")
    if hashlib.sha256(folder.bytes(RECORDS)).hexdigest() != record.sha256:
        raise Problem("it is not the record that the model names")
    closed = [line.get("round_index") for line in lines if line.get("closed") is True]
    if closed != list(range(1, model.rounds + 1)) or record.rounds != model.rounds:
        raise Problem("it does not hold each of the model's rounds once, in order")
    if record.attempts != len(lines):
        raise Problem("it holds another number of attempts than the model names")
    return f"{model.rounds} rounds in {len(lines)} attempts"


def check_tensors(folder: Folder) -> str:
    """Whether the tensors are those that model.json names, and finite."""
    declared = {one.name: one.shape for one in folder.model.tensors}
    found = folder.tensors
    if {name: p.shape for name, p in found.items()} != declared:
        raise Problem("names or shapes are not those of model.json")
    if any(p.dtype != np.float32 for p in found.values()):
        raise Problem("they are not float32")
    if not all(np.isfinite(p).all() for p in found.values()):
        raise Problem("they are not all finite")
    if hashlib.sha256(folder.theta.tobytes()).hexdigest() != folder.model.theta_sha256:
        raise Problem("they are not the ones that model.json names")
    if folder.header.get("study") != folder.manifest.study:
        raise Problem("their header names another study than the manifest")
    if folder.header.get("finished") != str(folder.manifest.finished).lower():
        raise Problem("their header names another state of the run than the manifest")
    return f"{sum(p.size for p in found.values())} finite numbers in {len(found)} tensors"


def check_network(folder: Folder) -> str:
    """Whether the ONNX file computes what the tensors do in NumPy, where it can be run."""
    model = folder.model
    if not {*LAYERS} <= set(folder.tensors):
        raise Problem(f"{TENSORS} is not the reference network's")
    noise = generator("verify").standard_normal((ROWS, len(model.inputs)))
    x = noise.astype(np.float32)
    try:
        expected = forward(folder.tensors, x)
    except ValueError as error:
        raise Problem("the tensors do not fit the inputs") from error
    if not folder.has(ONNX):
        return "no ONNX file"
    data = folder.bytes(ONNX)
    if not can_run():
        return "the ONNX file was not run: pip install 'wardround[onnx]'"
    if folder.entry(ONNX) != folder.manifest.files.get(ONNX):
        raise Problem("the ONNX file was changed, and is not run")
    try:
        found = run(data, x)
    except Exception as error:  # onnxruntime has no common class of its errors
        raise Problem(f"the ONNX file cannot be run: {type(error).__name__}") from error
    if not agree(found, expected):
        raise Problem("the ONNX file computes something else than the tensors")
    return f"ONNX and tensors agree to {np.abs(found - expected).max():.1e} on {ROWS} inputs"


def check_documents(folder: Folder) -> str:
    """Whether the other documents are of this study, state and initialization."""
    manifest, names = folder.manifest, [PRIVACY, METRICS, BENEFIT]
    there = [name for name in names if folder.has(name)]
    for name in there:
        if folder.json(name).get("study") != manifest.study:
            raise Problem(f"{name} is of another study")
    if folder.json(PRIVACY).get("finished") is not manifest.finished:
        raise Problem(f"{PRIVACY} is of another state of the run")
    theta = folder.json(METRICS).get("theta_sha256") if METRICS in there else None
    if theta not in (None, folder.model.theta_sha256):
        raise Problem(f"{METRICS} is of another initialization")
    return f"{', '.join(there)}: of this study"
