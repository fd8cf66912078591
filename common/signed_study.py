"""A study that its coordinator has signed: `study.toml`, and beside it `study.toml.sig`.

What is signed is the study's id and the SHA-256 of the one app bundle that a run of it may carry.
So a change of one character anywhere, or another bundle, is another study.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from common.crypto import SigningKey
from common.errors import CryptoError, InvalidMessage, SettingsError
from common.privacy.masking.statements import Hex32, Signed, Statement, signed
from common.study import Study, read_study

LABEL = "wardround/study/v1"


class Seal(Statement):
    """What a coordinator has signed: a study's id, and the bundle's SHA-256, "" if there is none.

    key: the public key whose signature this is.
    """

    version: Literal[1] = 1
    study: Hex32
    bundle: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    key: Hex32


class SignedStudy(NamedTuple):
    """A study whose signature holds, and its seal."""

    study: Study
    seal: Seal


def seal_path(study: Path) -> Path:
    """Return where the seal of a study file stands."""
    return study.with_name(study.name + ".sig")


def seal_study(study: Study, key: SigningKey, *, bundle: bytes | None = None) -> Signed:
    """Return the signed seal of a study; bundle: the app bundle, if its runs carry one."""
    content = hashlib.sha256(bundle).hexdigest() if bundle is not None else ""
    return signed(Seal(study=study.id, bundle=content, key=key.public.hex()), key, LABEL)


def read_signed_study(path: Path, *, key: str) -> SignedStudy:
    """Return the study in a file, which the holder of `key` (Ed25519 public, hex) has signed.

    Raises:
        SettingsError: study or seal cannot be read, or the seal is not of this study and this key.
    """
    study, where = read_study(path), str(seal_path(path))
    try:
        sealed = Signed.read(seal_path(path).read_text(encoding="utf-8").strip())
        seal = Seal.read(sealed.statement)
    except (OSError, UnicodeDecodeError, InvalidMessage) as error:
        raise SettingsError(
            "the study's signature is missing or unreadable",
            where=where,
            remedy="ask the coordinator for study.toml and study.toml.sig",
        ) from error
    if (wrong := _wrong(study, seal, sealed, key)) is not None:
        raise SettingsError(
            wrong, where=where, remedy="ask the coordinator by telephone which study is right"
        )
    return SignedStudy(study, seal)


def _wrong(study: Study, seal: Seal, sealed: Signed, key: str) -> str | None:
    if seal.key != key:
        return "another key than the coordinator's has signed the study"
    try:
        sealed.check(bytes.fromhex(key), LABEL)
    except CryptoError:
        return "the study's signature is wrong"
    return "the study was changed after it was signed" if seal.study != study.id else None
