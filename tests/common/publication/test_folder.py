"""A file that is missing, added, damaged or exchanged is told, whichever it is."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RunFolderError
from common.publication.checks import check_folder
from common.publication.manifest import CANONICAL, MANIFEST, MODEL, RECORDS, STUDY
from tests.common.publication.tampering import EXAMPLES, Published, copy_of, failed, found
from tests.publishing import remade


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


@pytest.mark.parametrize("name", [MANIFEST, MODEL, "privacy.json", STUDY, CANONICAL, RECORDS])
def test_nonsense_is_a_problem_and_no_crash(published: Published, name: str) -> None:
    for nonsense in (b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"null", b"a = " + b"[" * 100_000):
        with copy_of(published.unsigned) as copy:
            (copy / name).write_bytes(nonsense)
            if name != MANIFEST:
                remade(copy)
            assert failed(copy)
