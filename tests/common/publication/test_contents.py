"""Files that do not fit each other are told, though the manifest was made anew for them."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.privacy.masking.statements import signed
from common.publication.checks import check_folder
from common.publication.manifest import (
    CANONICAL,
    MODEL,
    ONNX,
    RECORDS,
    SEAL,
    STUDY,
    TENSORS,
    read_part,
    spelled,
)
from common.publication.model_file import ModelFile
from common.signed_study import LABEL, Seal, seal_study
from tests.common.publication.tampering import MALLORY, Published, copy_of, failed, found
from tests.publishing import remade, study_of


def test_a_study_that_was_changed_is_told_whatever_else_was_changed_with_it(
    published: Published,
) -> None:
    for name in (STUDY, CANONICAL):
        with copy_of(published.unsigned) as copy:
            text = (copy / name).read_bytes()
            (copy / name).write_bytes(text.replace(b"years", b"weeks"))
            remade(copy)
            assert failed(copy) == {"study"}
            (copy / name).unlink()
            remade(copy)
            assert failed(copy) == {"study"}


def test_a_study_of_a_version_with_other_settings_can_still_be_checked(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is that of study.json as it stands, not of what this version makes of study.toml."""
    monkeypatch.setattr("common.study.Study.id", "0" * 64)
    assert failed(published.signed, published.key) == set()


def test_a_seal_of_another_study_is_told(published: Published) -> None:
    with copy_of(published.signed) as copy:
        seal = seal_study(study_of(), MALLORY).text.encode() + b"\n"
        (copy / SEAL).write_bytes(seal)
        remade(copy, key=MALLORY)
        assert failed(copy) == {"seal"}


def test_a_seal_that_names_the_coordinators_key_and_lacks_its_signature_is_told(
    published: Published,
) -> None:
    with copy_of(published.unsigned) as copy:
        study = check_folder(copy)[4].found.removeprefix("id ")
        forged = signed(Seal(study=study, key=published.key), MALLORY, LABEL)
        (copy / SEAL).write_text(forged.text + "\n")
        remade(copy)
        assert failed(copy) == {"seal"}


def rewrite_model(folder: Path, **changes: Any) -> None:
    model = read_part(ModelFile, (folder / MODEL).read_bytes(), MODEL)
    (folder / MODEL).write_bytes(spelled(model.model_copy(update=changes)))
    remade(folder)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"rounds": 1}, "model"),
        ({"finished": False}, "model"),
        ({"inputs": ("a", "b", "c", "d", "e", "f")}, "study"),
        ({"inputs": ("a",)}, "network"),
        ({"tasks": ("gout",)}, "study"),
        ({"study": "0" * 64}, "model"),
        ({"theta_sha256": "0" * 64}, "tensors"),
        ({"tensors": ()}, "tensors"),
    ],
)
def test_a_model_file_that_does_not_fit_is_told(
    published: Published, changes: dict[str, Any], check: str
) -> None:
    with copy_of(published.unsigned) as copy:
        rewrite_model(copy, **changes)
        assert check in failed(copy)


def test_numbers_that_are_not_finite_or_of_another_shape_are_told(published: Published) -> None:
    bias = load_file(published.unsigned / TENSORS)["0.bias"]
    for spoiled in (bias * np.nan, bias[:-1], bias.astype(np.float64)):
        with copy_of(published.unsigned) as copy:
            tensors = load_file(copy / TENSORS)
            save_file(tensors | {"0.bias": spoiled}, copy / TENSORS)
            remade(copy)
            assert "tensors" in failed(copy)


def test_a_header_of_another_study_or_state_is_told(published: Published) -> None:
    study = json.loads((published.unsigned / MODEL).read_bytes())["study"]
    for header in ({}, {"study": "x", "finished": "true"}, {"study": study, "finished": "false"}):
        with copy_of(published.unsigned) as copy:
            save_file(load_file(copy / TENSORS), copy / TENSORS, metadata=header)
            remade(copy)
            assert failed(copy) == {"tensors"}


def test_an_onnx_file_that_computes_something_else_is_told(published: Published) -> None:
    if not (published.other / ONNX).exists():
        pytest.skip("the extra onnx is not installed")
    with copy_of(published.unsigned) as copy:
        shutil.copy(published.other / ONNX, copy / ONNX)
        assert "is not run" in found(copy, "network").found
        remade(copy)
        assert failed(copy) == {"network"}
        (copy / ONNX).write_bytes(b"no ONNX at all")
        remade(copy)
        assert failed(copy) == {"network"}


def test_a_round_that_is_missing_or_told_twice_is_told(published: Published) -> None:
    lines = (published.unsigned / RECORDS).read_bytes().splitlines(keepends=True)
    for changed in (lines[:1], lines + lines[1:], lines[::-1], [b"[]\n"], [b"{\n"]):
        with copy_of(published.unsigned) as copy:
            text = b"".join(changed)
            (copy / RECORDS).write_bytes(text)
            model = read_part(ModelFile, (copy / MODEL).read_bytes(), MODEL)
            digest = hashlib.sha256(text).hexdigest()
            rewrite_model(copy, record=model.record.model_copy(update={"sha256": digest}))
            assert failed(copy) == {"rounds"}
