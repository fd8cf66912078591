"""`wardround verify`: whether a published folder is whole, unchanged and agrees with itself.

Without `key` this proves no more than that: whoever changes a folder can sign it anew with a key of
their own. The coordinator's key has to come by another way.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import CryptoError, InvalidMessage, RunFolderError, SettingsError
from common.features import input_names
from common.onnx_files import ROWS, agree, can_run, run
from common.privacy.masking.statements import Signed
from common.publication.folder import Folder, Problem
from common.publication.manifest import (
    ALWAYS,
    BENEFIT,
    METRICS,
    ONNX,
    PRIVACY,
    RECORDS,
    SEAL,
    SIGNATURE,
    STUDY,
    TENSORS,
    Signature,
    read_part,
)
from common.publication.model_file import LAYERS, forward
from common.randomness import generator
from common.signed_study import Seal, read_signed_study

MOST = 5
"""So many names are listed in one problem."""


class Check(NamedTuple):
    """One check: whether it holds, and what was found."""

    name: str
    holds: bool
    found: str


def check_folder(path: Path, *, key: str = "") -> list[Check]:
    """Return all checks of the published folder at `path`.

    key: the coordinator's public key, hex, if it is known.

    Raises:
        RunFolderError: there is no manifest there.
    """
    folder = Folder(path)
    checks: dict[str, Callable[[Folder], str]] = {
        "manifest": _manifest,
        "files": _files,
        "hashes": _hashes,
        "signature": lambda one: _signature(one, key),
        "study": _study,
        "seal": lambda one: _seal(one, key),
        "model": _model,
        "rounds": _rounds,
        "tensors": _tensors,
        "network": _network,
        "documents": _documents,
    }
    return [_checked(name, check, folder) for name, check in checks.items()]


def _checked(name: str, check: Callable[[Folder], str], folder: Folder) -> Check:
    try:
        return Check(name, True, check(folder))
    except Problem as problem:
        return Check(name, False, str(problem))
    except (OSError, RecursionError) as error:
        return Check(name, False, f"a file cannot be read: {type(error).__name__}")


def _manifest(folder: Folder) -> str:
    found = folder.manifest
    if lacking := sorted({*ALWAYS} - set(found.files)):
        raise Problem(f"it does not list {', '.join(lacking)}")
    if found.finished and found.rounds != found.planned:
        raise Problem("it calls a run finished that has not done its rounds")
    state = "finished" if found.finished else "UNFINISHED"
    return f"{state}: {found.name}, {found.rounds} of {found.planned} rounds, of {found.created}"


def _files(folder: Folder) -> str:
    there, expected = set(folder.there), folder.expected
    troubles = [
        f"{what} {', '.join(sorted(names)[:MOST])}"
        for what, names in (("missing:", expected - there), ("not listed:", there - expected))
        if names
    ]
    if troubles:
        raise Problem("; ".join(troubles))
    return f"{len(expected)} files, none missing, none extra"


def _hashes(folder: Folder) -> str:
    listed = folder.manifest.files.items()
    if wrong := [name for name, entry in listed if folder.entry(name) != entry]:
        raise Problem(f"not as the manifest says: {', '.join(wrong[:MOST])}")
    return "every file is as the manifest says"


def _signature(folder: Folder, key: str) -> str:
    signer = folder.manifest.signer
    if not signer:
        if key:
            raise Problem("nobody has signed it, and a key was given")
        return "none: nobody vouches for this folder"
    try:
        found = read_part(Signature, folder.bytes(SIGNATURE), SIGNATURE)
        found.check(folder.manifest.text)
    except (RunFolderError, CryptoError) as error:
        raise Problem("the signature is wrong") from error
    if found.key != signer:
        raise Problem("another key has signed it than the manifest says")
    if key and signer != key:
        raise Problem(f"signed by another key, {signer}")
    known = "the key that was given" if key else f"{signer}; ask the coordinator whether it is his"
    return f"holds, by {known}"


def _study(folder: Folder) -> str:
    if not folder.has(STUDY):
        return f"{STUDY} is not published; its id is {folder.manifest.study}"
    study, model = folder.study, folder.model
    if study.id != folder.manifest.study:
        raise Problem("it is another study than the manifest's")
    same = (
        list(model.inputs) == input_names(study.features),
        model.tasks == tuple(task.name for task in study.tasks),
        model.planned == study.server.rounds,
        (model.algorithm, model.hidden) == (study.algorithm.name, study.model.hidden),
    )
    if not all(same):
        raise Problem("the model's inputs, tasks, rounds or network are not the study's")
    return f"id {study.id}"


def _seal(folder: Folder, key: str) -> str:
    if not folder.has(SEAL):
        return "none: the study is published without its coordinator's signature"
    signer = folder.manifest.signer or key
    try:
        text = folder.bytes(SEAL).decode().strip()
        sealer = Seal.read(Signed.read(text).statement).key
        read_signed_study(folder.path / STUDY, key=signer or sealer)
    except (InvalidMessage, SettingsError, UnicodeDecodeError) as error:
        raise Problem(f"{SEAL} does not hold for this study and key") from error
    return f"holds, by {signer or sealer}"


def _model(folder: Folder) -> str:
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


def _rounds(folder: Folder) -> str:
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


def _tensors(folder: Folder) -> str:
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


def _network(folder: Folder) -> str:
    """Run the network in NumPy, and the ONNX file beside it where that can be."""
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


def _documents(folder: Folder) -> str:
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
