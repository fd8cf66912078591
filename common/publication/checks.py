"""`wardround verify`: whether a published folder is whole, unchanged and agrees with itself.

Without `key` this proves no more than that: whoever changes a folder can sign it anew with a key of
their own. The coordinator's key has to come by another way.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.errors import CryptoError, RunFolderError
from common.publication import contents
from common.publication.folder import Folder, Problem
from common.publication.manifest import (
    ALWAYS,
    SIGNATURE,
    Signature,
    read_part,
)

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
        "study": contents.check_study,
        "seal": lambda one: contents.check_seal(one, key),
        "model": contents.check_model,
        "rounds": contents.check_rounds,
        "tensors": contents.check_tensors,
        "network": contents.check_network,
        "documents": contents.check_documents,
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
