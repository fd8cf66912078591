"""manifest.json: every file of a published folder by size and SHA-256; manifest.sig: who says so.

The folder is flat. Both texts have one spelling, so that no byte of them can be changed unseen: the
manifest holds the hash of itself without that hash, and the signature covers it as it stands.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from common.crypto import SigningKey, verify
from common.errors import CryptoError, RunFolderError
from common.privacy.masking.statements import Hex32, Hex64
from common.study_sections import Name, Part

LABEL = "wardround/publication/v1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
TENSORS, MODEL, ONNX = "initialization.safetensors", "model.json", "network.onnx"
STUDY, SEAL, RECORDS = "study.toml", "study.toml.sig", "rounds.jsonl"
PRIVACY, METRICS, BENEFIT, SBOM = "privacy.json", "metrics.json", "benefit.json", "sbom.cdx.json"
CARD_TEXT, CARD_PAGE = "card.md", "card.html"
ALWAYS = (TENSORS, MODEL, RECORDS, PRIVACY, CARD_TEXT, CARD_PAGE)
"""Files that every published folder has, besides the manifest itself."""

FileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,60}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
P = TypeVar("P", bound=Part)


class Entry(Part):
    """A file: its size in bytes and its SHA-256."""

    size: Count
    sha256: Hex32


class Manifest(Part):
    """See the module. created: UTC, ISO 8601. notes: what is missing, and why.

    rounds, planned: done, and of the study. signer: the public key of manifest.sig, "" if nobody
    signs. sha256: of this text with sha256 empty.
    """

    version: Literal[1] = 1
    study: Hex32
    name: Name
    finished: bool
    rounds: Count
    planned: Count
    created: str
    versions: dict[str, str]
    files: dict[FileName, Entry]
    notes: tuple[str, ...] = ()
    signer: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""

    @property
    def text(self) -> bytes:
        """The one spelling of the manifest."""
        return spelled(self)

    def sealed(self) -> Self:
        """Return the manifest with the hash of itself."""
        empty = self.model_copy(update={"sha256": ""})
        return empty.model_copy(update={"sha256": hashlib.sha256(empty.text).hexdigest()})

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Return the manifest with this text.

        Raises:
            RunFolderError: the text is none, or was changed.
        """
        found = read_part(cls, text, MANIFEST)
        if found.sealed() != found:
            raise changed(MANIFEST)
        return found


class Signature(Part):
    """manifest.sig: an Ed25519 public key, and its signature of manifest.json."""

    key: Hex32
    signature: Hex64

    def check(self, manifest: bytes) -> None:
        """Return if the signature is that key's, of that manifest.

        Raises:
            CryptoError: it is not.
        """
        verify(bytes.fromhex(self.key), bytes.fromhex(self.signature), LABEL, manifest)


def sign(manifest: Manifest, key: SigningKey) -> bytes:
    """Return manifest.sig for a manifest.

    Raises:
        CryptoError: the manifest names another signer.
    """
    if manifest.signer != key.public.hex():
        raise CryptoError(
            "wrong-signer", "the manifest names another key", where=MANIFEST, remedy="report this"
        )
    signature = key.sign(LABEL, manifest.text).hex()
    return spelled(Signature(key=key.public.hex(), signature=signature))


def entries(files: Mapping[str, bytes]) -> dict[str, Entry]:
    """Return the manifest's list of files."""
    return {
        name: Entry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    }


def spelled(part: Part) -> bytes:
    """Return the one JSON text of a part: keys sorted, a line for each entry."""
    dump = part.model_dump(mode="json")
    return json.dumps(dump, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def read_part(kind: type[P], text: bytes, where: str) -> P:
    """Return the part with this text.

    Raises:
        RunFolderError: it is none, or not in its one spelling.
    """
    try:
        found = kind.model_validate_json(text)
    except ValidationError as error:
        raise changed(where) from error
    if spelled(found) != text:
        raise changed(where)
    return found


def changed(where: str | Path) -> RunFolderError:
    """Return the error of a file that is not as it was written."""
    return RunFolderError(
        "the file was changed or is damaged", where=str(where), remedy="get the folder anew"
    )
