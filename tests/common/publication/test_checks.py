"""A folder that was published holds; one whose files, manifest or signer changed does not."""

import shutil

from common.publication.manifest import (
    MANIFEST,
    METRICS,
    MODEL,
    ONNX,
    RECORDS,
    SEAL,
    SIGNATURE,
    STUDY,
    TENSORS,
)
from tests.common.publication.tampering import MALLORY, Published, copy_of, failed, found
from tests.publishing import remade


def test_what_was_exported_holds(published: Published) -> None:
    for folder in published[:4]:
        assert failed(folder) == set()
    assert failed(published.signed, published.key) == set()
    assert "nobody vouches" in found(published.unsigned, "signature").found
    assert published.key in found(published.signed, "signature").found
    assert found(published.signed, "rounds").found == "2 rounds in 2 attempts"


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


def test_a_file_of_another_run_is_told_also_if_the_manifest_is_made_anew(
    published: Published,
) -> None:
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


def test_a_signature_that_was_taken_off_is_told_to_who_knows_the_key(published: Published) -> None:
    with copy_of(published.signed) as copy:
        (copy / SIGNATURE).unlink()
        assert "files" in failed(copy)
        remade(copy)
        assert failed(copy, published.key) == {"signature"}
