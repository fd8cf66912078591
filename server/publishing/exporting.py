"""A published folder: all its files made in memory, written beside their place, then renamed."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

from common.errors import RunFolderError
from common.files import sync_folder
from common.onnx_files import NotExportable
from common.publication.manifest import (
    BENEFIT,
    CARD_PAGE,
    CARD_TEXT,
    MANIFEST,
    METRICS,
    MODEL,
    ONNX,
    PRIVACY,
    RECORDS,
    SBOM,
    SEAL,
    SIGNATURE,
    STUDY,
    TENSORS,
    Manifest,
    entries,
    sign,
    spelled,
)
from common.study import study_toml
from server.page.epsilon import FEWEST
from server.publishing import documents
from server.publishing.blocks import as_markdown, as_page
from server.publishing.card import card, unfinished
from server.publishing.network import network
from server.publishing.reading import Given
from server.publishing.sbom import NoList, sbom
from server.publishing.small import declares_few

Files = dict[str, bytes]
T = TypeVar("T")
NO_STUDY = f"{STUDY}: not published, it declares a number of patients below {FEWEST}"
NO_SIGNATURE = f"{SIGNATURE}: exported without the coordinator's folder, nobody vouches for it"
NO_SEAL = f"{SEAL}: the study has no signature here"


def export(given: Given, output: Path, *, now: datetime) -> Manifest:
    """Write what is published of a run to `output`, a new folder, and return its manifest.

    Raises:
        RunFolderError: there is such a folder already.
        NonFiniteError: the ONNX file computes something else than the network.
    """
    if output.exists():
        raise RunFolderError(
            "the folder exists", where=str(output), remedy="name a new one for --output"
        )
    created = now.astimezone(UTC).isoformat(timespec="seconds")
    files, noted = make_files(given, created)
    manifest = _manifest(noted, files, created)
    files[MANIFEST] = manifest.text
    if signer := given.signatures.signer:
        files[SIGNATURE] = sign(manifest, signer)
    write_folder(output, files)
    return manifest


def _manifest(given: Given, files: Files, created: str) -> Manifest:
    signer = given.signatures.signer
    return Manifest(
        study=given.study.id,
        name=given.study.name,
        finished=given.finished,
        rounds=given.state.round_index,
        planned=given.study.server.rounds,
        created=created,
        versions=documents.versions(),
        files=entries(files),
        notes=given.notes,
        signer=signer.public.hex() if signer else "",
    ).sealed()


def make_files(given: Given, created: str) -> tuple[Files, Given]:
    """Return all files but the manifest, and the run with notes on what is missing."""
    record = documents.records(given)
    files = {
        TENSORS: documents.tensors(given),
        MODEL: spelled(documents.model_file(given, record)),
        RECORDS: record,
    }
    given = given.noting(*filter(None, [unfinished(given)]))
    given = _add_study(files, given)
    parts: dict[str, Any] = {"privacy": documents.privacy(given)}
    files[PRIVACY] = _json(parts["privacy"])
    for name, key, make in (
        (METRICS, "metrics", documents.metrics),
        (BENEFIT, "benefit", documents.benefit),
    ):
        parts[key], why = _read(make, given, name)
        if parts[key] is not None:
            files[name] = _json(parts[key])
        given = given.noting(*filter(None, [why]))
    given = _add(files, given, ONNX, lambda: network(given))
    given = _add(files, given, SBOM, sbom)
    if not given.signatures.signer:
        given = given.noting(NO_SIGNATURE)
    title, sections = card(given, parts, created)
    files[CARD_TEXT] = as_markdown(title, sections).encode()
    files[CARD_PAGE] = as_page(title, sections).encode()
    return files, given


def _read(make: Callable[[Given], T], given: Given, name: str) -> T:
    try:
        return make(given)
    except (LookupError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"what {name} is made from is damaged",
            where=str(given.folder),
            remedy="restore the run folder's files, or remove the damaged one",
        ) from error


def _add_study(files: Files, given: Given) -> Given:
    """Add the study, spelled anew: a comment in its file is nobody's business; and its seal."""
    if declares_few(given.study):
        return given.noting(NO_STUDY)
    files[STUDY] = study_toml(given.study).encode()
    if not given.signatures.seal:
        return given.noting(NO_SEAL)
    files[SEAL] = given.signatures.seal.encode() + b"\n"
    return given


def _add(files: Files, given: Given, name: str, make: Callable[[], bytes]) -> Given:
    """Add a file that needs an extra, or note why it is missing."""
    try:
        files[name] = make()
    except (NotExportable, NoList) as reason:
        return given.noting(f"{name}: {reason}")
    return given


def write_folder(output: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder as a whole: a crash at any instant leaves none or all of it.

    Raises:
        RunFolderError: somebody else has made it meanwhile.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        for name, data in files.items():
            with (temporary / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        sync_folder(temporary)
        temporary.rename(output)
    except OSError as error:
        raise RunFolderError(
            f"the folder cannot be written: {error.strerror}",
            where=str(output),
            remedy="name another one for --output",
        ) from error
    finally:
        rmtree(temporary, ignore_errors=True)
    sync_folder(output.parent)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
