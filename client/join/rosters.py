"""Signing the roster of the masked profile: the hospitals', not the coordinator's, word counts."""

from datetime import date
from typing import NamedTuple

from client.hospital import Hospital
from client.identity import read_identity
from client.join.joining import STUDY_FILE, line_of
from client.join.line import printable
from common.certificates import in_groups
from common.crypto import SigningKey
from common.enrolment import RosterVote
from common.errors import SettingsError
from common.files import write_atomically
from common.privacy.masking.roster import (
    Roster,
    SignedRoster,
    check_roster,
    read_roster,
    roster_text,
    sign_roster,
)
from common.study import read_study

_PATH = "/enrol/roster"


class Proposed(NamedTuple):
    """A roster that the coordinator hands round, and the one that this hospital has accepted."""

    signed: SignedRoster
    accepted: Roster | None

    @property
    def roster(self) -> Roster:
        """What is proposed."""
        return self.signed.roster


def fetch(hospital: Hospital) -> Proposed:
    """Return the roster that is handed round, after a look at what it says of this hospital.

    Raises:
        SettingsError: this hospital stands there with another key, not at all, or with weights
            that are not those of its study; or the line fails.
    """
    from client.membership import ROSTER_FILE, check_agreement

    line, key = line_of(hospital), SigningKey(read_identity(hospital.state))
    signed = read_roster(line.ask(_PATH, hospital.name, key), where=line.address)
    kept, accepted = hospital.state / ROSTER_FILE, None
    if kept.exists():
        accepted = read_roster(kept.read_text(encoding="utf-8"), where=str(kept)).roster
    mine = {site.name: site.public_key for site in signed.roster.sites}.get(hospital.name)
    if mine != key.public.hex():
        raise SettingsError(
            f"the roster has not this hospital's key {in_groups(key.public.hex())}",
            where=line.address,
            remedy="do not sign it; ask the other hospitals by telephone what they were shown",
        )
    study = hospital.folder / STUDY_FILE
    if study.exists():
        check_agreement(read_study(study), signed.roster, hospital.name, key)
    return Proposed(signed, accepted)


def describe(proposed: Proposed, name: str) -> list[str]:
    """Return the roster in lines for people, with what differs from the one in use."""
    roster, before = proposed.roster, proposed.accepted
    known = {site.name: site.public_key for site in before.sites} if before else {}
    lines = [f"Roster of {printable(roster.federation)}, epoch {roster.epoch}"]
    for site in roster.sites:
        remarks = ["you"] if site.name == name else []
        if before and known.get(site.name) != site.public_key:
            remarks.append("ANOTHER KEY THAN BEFORE" if site.name in known else "new")
        if site.name in proposed.signed.signatures:
            remarks.append("has signed")
        remark = f" ({', '.join(remarks)})" if remarks else ""
        lines.append(
            f"  {printable(site.name)}{remark}: weight {site.weight:g}, until {site.not_after}"
        )
        lines.append(f"    key {in_groups(site.public_key)}")
    gone = known.keys() - {site.name for site in roster.sites}
    lines += [f"  no longer: {printable(each)}" for each in sorted(gone)]
    return [*lines, f"Hash {in_groups(roster.hash)}"]


def has_signed(proposed: Proposed, hospital: Hospital) -> bool:
    """Whether this hospital has signed the proposed roster."""
    key = SigningKey(read_identity(hospital.state))
    mine = sign_roster(proposed.roster, key)  # Ed25519 signs alike every time
    return proposed.signed.signatures.get(hospital.name) == mine


def sign(hospital: Hospital, proposed: Proposed) -> None:
    """Sign the roster with this hospital's identity and hand the signature in.

    Raises:
        SettingsError: the coordinator does not take it.
    """
    key = SigningKey(read_identity(hospital.state))
    vote = RosterVote(
        roster=proposed.roster.hash,
        site=hospital.name,
        signature=sign_roster(proposed.roster, key),
    )
    line_of(hospital).post(_PATH, vote.text)


def take(hospital: Hospital, shown: Roster, *, today: date) -> str:
    """Write the roster that was shown to the node's folder, if enough have signed it.

    Returns:
        "" if it was written, else why not yet.

    Raises:
        SettingsError: the coordinator hands round another one meanwhile.
    """
    from client.membership import accept_roster

    proposed = fetch(hospital)
    if proposed.roster != shown:
        raise SettingsError(
            "the coordinator hands round another roster now",
            where=_PATH,
            remedy="run this again and compare its hash with the other hospitals by telephone",
        )
    if proposed.accepted != shown:
        try:
            check_roster(proposed.signed, proposed.accepted, today=today, where=_PATH)
        except SettingsError as error:
            return error.what
    write_atomically(hospital.roster, roster_text(proposed.signed).encode())
    accept_roster(hospital.roster, hospital.state)
    return ""
