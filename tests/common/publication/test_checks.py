"""Every kind of tampering with a published folder is told, and only tampering is."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from common.crypto import SigningKey, fresh_key
from common.errors import RunFolderError
from common.privacy.masking.statements import signed
from common.publication.checks import Check, check_folder
from common.publication.manifest import (
    CANONICAL,
    MANIFEST,
    METRICS,
    MODEL,
    ONNX,
    RECORDS,
    SEAL,
    SIGNATURE,
    STUDY,
    TENSORS,
    read_part,
    spelled,
)
from common.publication.model_file import ModelFile
from common.signed_study import LABEL, Seal, seal_study
from tests.publishing import (
    coordinator,
    publish,
    quick_run,
    remade,
    simulated_run,
    study_of,
    with_metrics_of,
)

EXAMPLES = settings(max_examples=60, deadline=None)
MALLORY = SigningKey(fresh_key())


class Published(NamedTuple):
    """signed: of a real run. other: of another run of the same study, signed by the same key."""

    signed: Path
    unsigned: Path
    other: Path
    quick: Path
    key: str


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    place = tmp_path_factory.mktemp("published")
    study = simulated_run(place / "a")
    quick_run(place / "b" / "run", study)
    with_metrics_of(place / "b" / "run", place / "a" / "run")
    folder = coordinator(place / "c", study)
    quick_run(place / "quick", study_of())
    return Published(
        publish(place / "a" / "run", place / "signed", folder=folder),
        publish(place / "a" / "run", place / "unsigned"),
        publish(place / "b" / "run", place / "other", folder=folder),
        publish(place / "quick", place / "quickly"),
        folder.signer().public.hex(),
    )


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(shutil.copytree(folder, Path(place) / "copy"))


def failed(folder: Path, key: str = "") -> set[str]:
    """Return the names of the checks that do not hold."""
    return {check.name for check in check_folder(folder, key=key) if not check.holds}


def found(folder: Path, name: str) -> Check:
    return next(check for check in check_folder(folder) if check.name == name)


def test_what_was_exported_holds(published: Published) -> None:
    for folder in published[:4]:
        assert failed(folder) == set()
    assert failed(published.signed, published.key) == set()
    assert "nobody vouches" in found(published.unsigned, "signature").found
    assert published.key in found(published.signed, "signature").found
    assert found(published.signed, "rounds").found == "2 rounds in 2 attempts"


@EXAMPLES
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_told(published: Published, data: st.DataObject) -> None:
    folder = data.draw(st.sampled_from([published.signed, published.unsigned]))
    name = data.draw(st.sampled_from(sorted(p.name for p in folder.iterdir())))
    with copy_of(folder) as copy:
        content = bytearray((copy / name).read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        (copy / name).write_bytes(content)
        assert failed(copy)


@EXAMPLES
@given(data=st.data())
def test_a_cut_or_lengthened_file_is_told(published: Published, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(p.name for p in published.signed.iterdir())))
    with copy_of(published.signed) as copy:
        content = (copy / name).read_bytes()
        cut = content[: data.draw(st.integers(0, len(content) - 1))]
        (copy / name).write_bytes(data.draw(st.sampled_from([cut, content + b"\n"])))
        assert failed(copy)


def test_a_file_that_is_missing_is_told(published: Published) -> None:
    for name in {p.name for p in published.signed.iterdir()} - {MANIFEST}:
        with copy_of(published.signed) as copy:
            (copy / name).unlink()
            assert "files" in failed(copy)
            assert name in found(copy, "files").found


def test_a_folder_without_a_manifest_is_refused(published: Published) -> None:
    with copy_of(published.signed) as copy:
        (copy / MANIFEST).unlink()
        with pytest.raises(RunFolderError, match="no published folder"):
            check_folder(copy)


@EXAMPLES
@given(name=st.from_regex(r"\A[.a-z][A-Za-z0-9._-]{0,20}\Z").filter(lambda n: n.strip(".")))
def test_a_file_that_was_added_is_told_whatever_its_name(published: Published, name: str) -> None:
    with copy_of(published.signed) as copy:
        if (copy / name).exists():
            return
        (copy / name).write_bytes(b"")
        assert "files" in failed(copy)


def test_a_folder_or_a_link_is_no_file(published: Published) -> None:
    with copy_of(published.signed) as copy:
        (copy / "sub").mkdir()
        assert "files" in failed(copy)
    with copy_of(published.signed) as copy:
        (copy / "twin").write_bytes((copy / MODEL).read_bytes())
        (copy / MODEL).unlink()
        (copy / MODEL).symlink_to(published.signed / MODEL)
        (copy / "twin").unlink()
        assert "hashes" in failed(copy)


def test_a_pipe_is_no_file_and_is_not_waited_for(published: Published) -> None:
    for name in {p.name for p in published.signed.iterdir()} - {MANIFEST}:
        with copy_of(published.signed) as copy:
            (copy / name).unlink()
            os.mkfifo(copy / name)
            assert failed(copy)


@EXAMPLES
@given(data=st.data())
def test_renamed_and_exchanged_files_are_told(published: Published, data: st.DataObject) -> None:
    names = sorted({p.name for p in published.signed.iterdir()} - {MANIFEST})
    one, two = data.draw(st.permutations(names))[:2]
    with copy_of(published.signed) as copy:
        (copy / one).rename(copy / "renamed")
        assert "files" in failed(copy)
        (copy / two).rename(copy / one)
        (copy / "renamed").rename(copy / two)
        assert failed(copy)


def different(published: Published) -> list[str]:
    """Return the files in which the two runs differ."""
    own = {p.name: p.read_bytes() for p in published.signed.iterdir()}
    return sorted(
        name for name, data in own.items() if (published.other / name).read_bytes() != data
    )


def test_a_file_of_another_run_of_the_same_study_is_told(published: Published) -> None:
    names = different(published)
    assert {TENSORS, MODEL, METRICS, MANIFEST, SIGNATURE} <= {*names}
    for name in names:
        with copy_of(published.signed) as copy:
            shutil.copy(published.other / name, copy / name)
            assert failed(copy), name


def test_and_also_if_the_manifest_is_made_anew(published: Published) -> None:
    for name in {TENSORS, MODEL, METRICS, ONNX, RECORDS} & {*different(published)}:
        with copy_of(published.unsigned) as copy:
            if not (copy / name).exists():
                continue
            shutil.copy(published.other / name, copy / name)
            remade(copy)
            assert failed(copy) & {"tensors", "rounds", "documents", "network"}, name


def test_a_file_of_another_study_is_told_also_if_the_manifest_is_made_anew(
    published: Published,
) -> None:
    for name in (TENSORS, MODEL, RECORDS, STUDY, "privacy.json"):
        with copy_of(published.unsigned) as copy:
            shutil.copy(published.quick / name, copy / name)
            remade(copy)
            assert failed(copy), name


def test_a_manifest_that_was_changed_without_its_signer_is_told(published: Published) -> None:
    with copy_of(published.signed) as copy:
        signature = (copy / SIGNATURE).read_bytes()
        remade(copy, lambda dump: dump | {"notes": (), "signer": published.key})
        (copy / SIGNATURE).write_bytes(signature)
        assert failed(copy) == {"signature"}


def test_a_forger_who_signs_anew_is_told_by_the_key_and_by_the_study(published: Published) -> None:
    with copy_of(published.signed) as copy:
        remade(copy, lambda dump: dump | {"created": "2027-01-01T00:00:00+00:00"}, key=MALLORY)
        assert failed(copy) == {"seal"}  # which the coordinator has signed
        assert failed(copy, published.key) == {"signature", "seal"}
        (copy / SEAL).unlink()
        remade(copy, key=MALLORY)
        assert "another key" not in found(copy, "signature").found
        assert failed(copy) == set()  # nothing in the folder can tell: the key must be known
        assert failed(copy, published.key) == {"signature"}


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


def test_a_signature_that_was_taken_off_is_told_to_who_knows_the_key(published: Published) -> None:
    with copy_of(published.signed) as copy:
        (copy / SIGNATURE).unlink()
        assert "files" in failed(copy)
        remade(copy)
        assert failed(copy, published.key) == {"signature"}


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


@pytest.mark.parametrize("name", [MANIFEST, MODEL, "privacy.json", STUDY, CANONICAL, RECORDS])
def test_nonsense_is_a_problem_and_no_crash(published: Published, name: str) -> None:
    for nonsense in (b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"null", b"a = " + b"[" * 100_000):
        with copy_of(published.unsigned) as copy:
            (copy / name).write_bytes(nonsense)
            if name != MANIFEST:
                remade(copy)
            assert failed(copy)
