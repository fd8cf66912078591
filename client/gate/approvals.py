"""A hospital's yes to a study: kept in its state folder, signed by its own identity, with an end.

The study stands in the approval itself. What a node runs is read from here and nowhere else.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from client.identity import read_identity
from common.crypto import SigningKey
from common.errors import InvalidMessage, Refusal, WardroundError
from common.files import write_atomically
from common.privacy.masking.statements import Count, Hex32, Signed, Statement, signed
from common.study import Study, canonical_json, make_study

FOLDER, LABEL = "approvals", "wardround/approval/v1"
DAY_S = 86_400
NOT_APPROVED, ALTERED, EXPIRED, CHANGED = (
    "not-approved",
    "approval-altered",
    "approval-expired",
    "package-changed",
)


class Approval(Statement):
    """What was approved, and until when.

    study: the study's canonical JSON. bundle: SHA-256 of the one app bundle that its runs carry, ""
    if none. package: the installed version, by which the hospital's own code is known. cohort: of
    patients, whose ledger has reserved it; "" for public data. epsilon: its price, replace-one.
    approved, expires: Unix time in seconds.
    """

    version: Literal[1] = 1
    study: str
    bundle: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]
    package: str
    coordinator: Hex32
    cohort: str
    epsilon: Annotated[float, Field(ge=0)]
    approved: Count
    expires: Count


class Approved(NamedTuple):
    """An approval that holds, and its study."""

    approval: Approval
    study: Study


def package_version() -> str:
    """Return the version of the installed package."""
    return version("wardround")


def keep_approval(state: Path, approval: Approval, study: Study) -> None:
    """Write an approval down; it is on the disk when this returns."""
    key = SigningKey(read_identity(state))
    folder = state / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    text = signed(approval, key, LABEL).text
    write_atomically(folder / f"{study.id}.json", text.encode())


def withdraw_approval(state: Path, study: str) -> None:
    """Take an approval back: the next message of the study is refused.

    Raises:
        Refusal: there is none.
    """
    path = state / FOLDER / f"{study}.json"
    if not path.exists():
        raise refusal(NOT_APPROVED, "this study is not approved here", where=str(path))
    path.unlink()


def approved_studies(state: Path) -> list[str]:
    """Return the ids of all studies that were approved, expired ones too."""
    return sorted(path.stem for path in (state / FOLDER).glob("*.json"))


def find_approval(state: Path, study: str, *, now: float) -> Approved:
    """Return what was approved under a study's id, if it holds now.

    Raises:
        Refusal: it was not approved, was altered, is over, or was given to other code.
        PrivacyError: the site has no identity.
    """
    path = state / FOLDER / f"{study}.json"
    if study not in approved_studies(state):  # the id came from outside: it never makes a path
        raise refusal(NOT_APPROVED, "this study is not approved here", where=str(state / FOLDER))
    found = _read(path, SigningKey(read_identity(state)).public)
    if found.study.id != study:
        raise refusal(ALTERED, "the approval is of another study", where=str(path))
    if not found.approval.approved <= now < found.approval.expires:
        raise refusal(EXPIRED, "the approval is over, or the clock is wrong", where=str(path))
    if found.approval.package != package_version():
        raise refusal(CHANGED, "another version of wardround was approved", where=str(path))
    return found


def refusal(code: str, what: str, *, where: str, remedy: str = "") -> Refusal:
    """Return the refusal of a message; only its code leaves the hospital."""
    remedy = remedy or "`wardround node approve STUDY` asks the hospital again"
    return Refusal(code, what, where=where, remedy=remedy)


def _read(path: Path, public: bytes) -> Approved:
    try:
        kept = Signed.read(path.read_text(encoding="utf-8"))
        kept.check(public, LABEL)
        approval = Approval.read(kept.statement)
        study = make_study(json.loads(approval.study), where=str(path))
        if canonical_json(study) != approval.study:
            raise ValueError("not canonical")
    except (OSError, ValueError, InvalidMessage, WardroundError) as error:
        raise refusal(ALTERED, "the approval is damaged or not ours", where=str(path)) from error
    return Approved(approval, study)
