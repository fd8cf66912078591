"""Joining a federation by an invitation, and changing the node key later.

Nothing is sent before the coordinator's authority was compared with the invitation. Private keys
are made here and stay here. A step that was interrupted is done again and ends the same.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from client.hospital import Hospital, open_hospital
from client.identity import make_identity, read_identity
from client.join.keys import adopt, is_offering, keep_key, next_key, public_in_use, publish
from client.join.line import CoordinatorRefuses, Line, open_line
from client.site_file import SITE_FILE, STATE, CoordinatorSettings
from common.certificates import NodeKey, fingerprint, node_fingerprint
from common.crypto import SigningKey
from common.enrolment import (
    RECEIPT,
    ROTATE,
    Proven,
    Receipt,
    Rotation,
    SignedStudyText,
    apply,
    prove,
    request_hash,
)
from common.errors import CryptoError, InvalidMessage, SettingsError
from common.files import write_atomically
from common.invitation import Invitation
from common.privacy.masking.statements import Signed
from common.signed_study import read_signed_study, seal_path

STUDY_FILE = "study.toml"
_OPEN_MODE = 0o644


class Joined(NamedTuple):
    """What has come of joining. missing: what to set in a site.toml that was there before."""

    receipt: Receipt
    authority: str
    identity: str
    node: str
    study: bool
    missing: dict[str, str]


def join(code: str, folder: Path, site: str) -> Joined:
    """Join the federation of an invitation with the keys of a node's folder, made if missing.

    Raises:
        SettingsError: the code is wrong, the coordinator is another one or refuses, or the folder
            belongs to another site or coordinator.
    """
    invitation = Invitation.read(code)
    settings = _settings_of(folder, site)
    line = open_line(invitation.address, invitation.authority)
    _check_authority(folder / settings.ca, line)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = SigningKey(make_identity(folder / STATE))
    receipt = _apply(line, invitation, site, identity, folder / settings.node_key)
    _check_coordinator(receipt, settings)
    _write_open(folder / settings.ca, line.ca)
    missing = _write_rules(folder, site, receipt, settings)
    study = fetch_study(line, folder, site, identity, receipt.key)
    node = node_fingerprint(public_in_use(folder / settings.node_key))
    return Joined(receipt, line.authority, identity.public.hex(), node, study, missing)


def rotate_key(folder: Path) -> tuple[Receipt, str]:
    """Put a new node key in the place of the one in use; return the receipt and its fingerprint.

    Raises:
        SettingsError: the node has not joined, or the coordinator is not reached or refuses.
    """
    hospital = open_hospital(folder)
    line, path = line_of(hospital), hospital.folder / hospital.rules.coordinator.node_key
    identity, new = SigningKey(read_identity(hospital.state)), next_key(path)
    asked = Rotation(
        authority=line.authority, site=hospital.name, old=public_in_use(path), new=new.public
    )
    proven = prove(asked, identity, new, ROTATE)
    receipt = _receipt(line.post("/enrol/rotate", proven.text), proven, hospital.name, line)
    _check_coordinator(receipt, hospital.rules.coordinator)
    adopt(path)
    return receipt, node_fingerprint(new.public)


def line_of(hospital: Hospital) -> Line:
    """Return the line to the coordinator of a node that has joined.

    Raises:
        SettingsError: it has not.
    """
    settings = hospital.rules.coordinator
    ca = hospital.folder / settings.ca
    if not settings.address or not ca.exists():
        raise SettingsError(
            "this node has no coordinator",
            where=str(hospital.folder / SITE_FILE),
            remedy="wardround node join; then coordinator.address and coordinator.ca are set",
        )
    return Line(settings.address, ca.read_bytes())


def fetch_study(line: Line, folder: Path, site: str, identity: SigningKey, key: str) -> bool:
    """Write the coordinator's signed study to a folder; say whether there is one.

    Raises:
        SettingsError: it is not signed with the coordinator's key, or the line fails.
    """
    try:
        text = SignedStudyText.read(line.ask("/enrol/study", site, identity))
    except CoordinatorRefuses as error:
        if error.code != "no-study":
            raise
        return False
    except InvalidMessage as error:
        raise _wrong_answer(line) from error
    with TemporaryDirectory(dir=folder) as aside:
        path = Path(aside) / STUDY_FILE
        path.write_text(text.study, encoding="utf-8")
        seal_path(path).write_text(text.seal + "\n", encoding="utf-8")
        read_signed_study(path, key=key)
    _write_open(folder / STUDY_FILE, text.study.encode())
    _write_open(seal_path(folder / STUDY_FILE), text.seal.encode() + b"\n")
    return True


def _settings_of(folder: Path, site: str) -> CoordinatorSettings:
    """Return what site.toml says of the coordinator, or what it will say."""
    if not (folder / SITE_FILE).exists():
        return CoordinatorSettings()
    rules = open_hospital(folder).rules
    if rules.site != site:
        raise SettingsError(
            f"this folder is of site {rules.site}",
            where=str(folder / SITE_FILE),
            remedy=f"give --site {rules.site}, or another --folder",
        )
    return rules.coordinator


def _check_authority(ca: Path, line: Line) -> None:
    try:
        known = fingerprint(ca.read_bytes()) if ca.exists() else line.authority
    except CryptoError:
        known = ""
    if known != line.authority:
        raise SettingsError(
            "this folder belongs to another coordinator",
            where=str(ca),
            remedy="name another folder",
        )


def _apply(
    line: Line, invitation: Invitation, site: str, identity: SigningKey, path: Path
) -> Receipt:
    """Apply with the node key in use; with a new one, if that one has served before."""
    key = keep_key(path)
    try:
        receipt = _apply_with(line, invitation, site, identity, key)
    except CoordinatorRefuses as error:
        if error.code != "key-in-use" and not is_offering(path):
            raise
        receipt = _apply_with(line, invitation, site, identity, next_key(path))
        adopt(path)
    else:
        publish(path)
    return receipt


def _apply_with(
    line: Line, invitation: Invitation, site: str, identity: SigningKey, key: NodeKey
) -> Receipt:
    application = apply(invitation, site, identity, key)
    return _receipt(line.post("/enrol", application.text), application.join, site, line)


def _receipt(text: str, asked: Proven, site: str, line: Line) -> Receipt:
    """Return the receipt of what was asked, signed with the key that it names."""
    try:
        said = Signed.read(text)
        receipt = Receipt.read(said.statement)
        said.check(bytes.fromhex(receipt.key), RECEIPT)
    except InvalidMessage as error:
        raise _wrong_answer(line) from error
    if (receipt.request, receipt.site) != (request_hash(asked.statement), site):
        raise _wrong_answer(line)
    return receipt


def _check_coordinator(receipt: Receipt, settings: CoordinatorSettings) -> None:
    if settings.key not in (None, receipt.key):
        raise SettingsError(
            "the coordinator signs with another key than the one in site.toml",
            where=receipt.key,
            remedy="ask by telephone which key is right; nothing was changed here",
        )


def _write_rules(
    folder: Path, site: str, receipt: Receipt, settings: CoordinatorSettings
) -> dict[str, str]:
    """Write a first site.toml; return what an existing one lacks, which is left as it is."""
    wanted = {"key": receipt.key, "address": receipt.fleet}
    if (folder / SITE_FILE).exists():
        have = settings.model_dump()
        return {name: value for name, value in wanted.items() if have[name] != value}
    from client.mapping.site_text import joined_site_toml, write_first

    write_first(folder, joined_site_toml(site, settings.model_copy(update=wanted)))
    return {}


def _write_open(path: Path, content: bytes) -> None:
    """Write a file that holds no secret."""
    write_atomically(path, content)
    path.chmod(_OPEN_MODE)


def _wrong_answer(line: Line) -> SettingsError:
    return SettingsError(
        "the coordinator's answer is not what was asked for",
        where=line.address,
        remedy="ask the coordinator by telephone; nothing was changed here",
    )
